// A frozen base spread over the ranks: the same numbers as with a whole one on each, to the last
// bit.

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/text.h"
#include "distributed/scaling.h"
#include "model/safetensors.h"
#include "tests/program/rank_program.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

fs::path three_layers() { return fixtures() / "model/wide_head"; }

// Steps of five micro-batches of one document, which two ranks or more never share evenly at the
// end of an epoch.
std::vector<std::string> shared_run(const fs::path& out, const std::vector<std::string>& more) {
  std::vector<std::string> arguments = train_arguments(
      out, {"model_name_or_path=" + three_layers().string(), "adapter_name_or_path=''",
            "max_steps=4", "save_steps=100", "lora_dropout=0.1", "per_device_train_batch_size=1",
            "gradient_accumulation_steps=5", "report_to=none"});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::string adapter_of(const fs::path& out) {
  return content(out / "final/adapter_model.safetensors");
}

std::vector<double> losses_of(const fs::path& out) {
  std::vector<double> losses;
  for (const LoggedStep& step : logged_steps(out)) {
    losses.push_back(step.loss);
  }
  return losses;
}

class SharedBase : public ::testing::TestWithParam<int> {};

struct Case {
  int world;
  const char* setting;
};

class SharedBaseBits : public ::testing::TestWithParam<Case> {};

TEST_P(SharedBaseBits, TrainsToThoseOfAWholeOne) {
  const TempFolder temp;
  const auto& [world, setting] = GetParam();
  const std::string more =
      setting == std::string("uneven")  // matrices that no number of ranks divides
          ? "model_name_or_path=" + (fixtures() / "model/untied_gqa2").string()
          : setting;
  run_ranks(world, shared_run(temp / "whole", {more}));
  const ProcessResult result =
      run_ranks(world, shared_run(temp / "shared", {more, "shard_base=world"}));
  EXPECT_THAT(result.err, HasSubstr(fmt::format("spread over {} ranks", world)));
  EXPECT_EQ(losses_of(temp / "shared"), losses_of(temp / "whole"));
  EXPECT_EQ(adapter_of(temp / "shared"), adapter_of(temp / "whole"));
}
INSTANTIATE_TEST_SUITE_P(
    Ranks, SharedBaseBits,
    ::testing::Values(Case{2, "dtype=fp32"}, Case{3, "dtype=fp32"}, Case{2, "dtype=bf16"},
                      Case{3, "gradient_checkpointing=true"}, Case{2, "uneven"}, Case{3, "uneven"}),
    [](const auto& info) {
      std::string name = fmt::format("{}On{}", info.param.setting, info.param.world);
      std::erase_if(name, [](char c) { return c == '=' || c == '_'; });
      return name;
    });

// 17 documents in steps of five on each rank: the last step of an epoch leaves some ranks with
// fewer micro-batches than others, or with none.
TEST_P(SharedBase, RanksWithFewerMicroBatchesGoAlong) {
  const TempFolder temp;
  const std::string rows = content(fixtures() / "lora/train_curve/rows.jsonl");
  std::size_t end = 0;
  for (int i = 0; i < 17; ++i) {
    end = rows.find('\n', end) + 1;
  }
  put(temp / "rows.jsonl", rows.substr(0, end));
  const std::vector<std::string> data{
      fmt::format("datasets=[{{path: {}}}]", (temp / "rows.jsonl").string()), "max_steps=5"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), data.begin(), data.end());
    return more;
  };
  run_ranks(GetParam(), shared_run(temp / "whole", with({})));
  run_ranks(GetParam(), shared_run(temp / "shared", with({"shard_base=world"})));
  EXPECT_EQ(logged_steps(temp / "whole").size(), 5U);
  EXPECT_EQ(losses_of(temp / "shared"), losses_of(temp / "whole"));
  EXPECT_EQ(adapter_of(temp / "shared"), adapter_of(temp / "whole"));
}

TEST_P(SharedBase, EvaluatesToTheBitsOfAWholeOne) {
  const TempFolder temp;
  const fs::path rows = fixtures() / "lora/train_curve/rows.jsonl";
  const std::vector<std::string> evaluated{
      fmt::format("eval_datasets=[{{path: {}}}]", rows.string()), "per_device_eval_batch_size=7"};
  auto with = [&](const fs::path& out, std::vector<std::string> more) {
    more.insert(more.end(), evaluated.begin(), evaluated.end());
    return shared_run(out, more);
  };
  const std::vector<std::string> often{"eval_strategy=steps", "eval_steps=2"};
  auto whole = with(temp / "whole", often);
  run_ranks(GetParam(), whole);
  auto shared = with(temp / "shared", often);
  shared.emplace_back("shard_base=world");
  run_ranks(GetParam(), shared);
  EXPECT_EQ(adapter_of(temp / "shared"), adapter_of(temp / "whole"));
  EXPECT_EQ(losses_of(temp / "shared"), losses_of(temp / "whole"));
  auto lines = [](const fs::path& out) {
    std::vector<std::string> found;
    const std::string text = content(out / "metrics.jsonl");
    for (const std::string_view line : split(text, '\n')) {
      if (line.find("eval_loss") != std::string_view::npos) {
        found.emplace_back(line);
      }
    }
    return found;
  };
  EXPECT_EQ(lines(temp / "shared"), lines(temp / "whole"));
  EXPECT_EQ(lines(temp / "whole").size(), 2U);

  shared.front() = whole.front() = "eval";
  for (auto* command : {&shared, &whole}) {
    command->insert(command->begin() + 2, {"--adapter", (temp / "whole/final").string()});
  }
  const std::string one = weft(whole).out;
  EXPECT_THAT(one, HasSubstr("eval_loss"));
  EXPECT_EQ(run_ranks(GetParam(), shared).out, one);
}
INSTANTIATE_TEST_SUITE_P(Ranks, SharedBase, ::testing::Values(2, 3));

TEST(SharedBaseRuns, AreTakenUpWithAndWithoutSharing) {
  const TempFolder temp;
  run_ranks(2, shared_run(temp / "whole", {"save_steps=2"}));
  run_ranks(2, shared_run(temp / "shared", {"save_steps=2", "shard_base=world"}));
  EXPECT_EQ(content(temp / "shared/checkpoint-000002/optimizer.safetensors"),
            content(temp / "whole/checkpoint-000002/optimizer.safetensors"));
  copy_folder(temp / "whole/checkpoint-000002", temp / "then-shared/checkpoint-000002");
  copy_folder(temp / "shared/checkpoint-000002", temp / "then-whole/checkpoint-000002");
  run_ranks(2, shared_run(temp / "then-shared", {"shard_base=world"}));
  run_ranks(2, shared_run(temp / "then-whole", {}));
  EXPECT_EQ(adapter_of(temp / "then-shared"), adapter_of(temp / "whole"));
  EXPECT_EQ(adapter_of(temp / "then-whole"), adapter_of(temp / "whole"));
}

// Two nodes of two ranks: each node holds the base once.
TEST(SharedBaseRuns, NodeSharesWithinEachHost) {
  const TempFolder temp;
  run_ranks(4, shared_run(temp / "whole", {}));
  const ProcessResult result =
      run_ranks(4, shared_run(temp / "shared", {"shard_base=node"}), {.per_node = 2});
  EXPECT_THAT(result.err, HasSubstr("spread over 2 ranks"));
  EXPECT_EQ(adapter_of(temp / "shared"), adapter_of(temp / "whole"));
}

TEST(SharedBaseRuns, ARankAloneHoldsTheWholeBase) {
  const TempFolder temp;
  const ProcessResult result =
      run_ranks(2, shared_run(temp / "out", {"shard_base=node", "max_steps=1"}), {.per_node = 1});
  EXPECT_THAT(result.err, HasSubstr("rank 0 is alone on its host"));
  EXPECT_EQ(weft(shared_run(temp / "one", {"shard_base=world", "max_steps=1"})).exit_code, 0);
}

// What a rank says that it has lent.
std::uint64_t bytes_lent(const ProcessResult& result) { return logged_number(result, "has lent "); }

TEST_P(SharedBase, SendsTheBytesThatTheModelCounts) {
  const int world = GetParam();
  const TempFolder temp;
  ::setenv("WEFT_LOG", "debug", 1);
  std::vector<std::vector<ProcessResult>> runs;
  for (const int steps : {1, 4}) {
    RankedProgram program(world,
                          shared_run(temp / fmt::format("out-{}", steps),
                                     {"shard_base=world", fmt::format("max_steps={}", steps)}));
    runs.push_back(program.wait_all());
  }
  ::unsetenv("WEFT_LOG");
  // Of fixtures/model/wide_head, in fp32: q, k and v; o; gate and up; down.
  const std::uint64_t elements = 256 * 32 + 32 * 128 + 122 * 32 + 32 * 61;
  const std::uint64_t boundary = 16;  // elements of 64 bytes
  const auto ranks = static_cast<std::uint64_t>(world);
  const std::uint64_t parts = (elements + ranks * boundary - 1) / (ranks * boundary);
  const std::uint64_t share = parts * boundary * sizeof(float);
  for (int rank = 0; rank < world; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    EXPECT_EQ(bytes_lent(runs[1][r]) - bytes_lent(runs[0][r]),
              distributed::shared_layer_bytes(world, 3, share, 3 * 5))
        << "rank " << rank << " of " << world;
  }
}

struct Loss {
  const char* phase;
  int step;
};

class SharedBaseKilled : public ::testing::TestWithParam<Loss> {};

// The others wait for its share of a layer and say so.
TEST_P(SharedBaseKilled, TheOthersLeaveAtOnceAndTheSameCommandGoesOn) {
  const TempFolder temp;
  const auto& [phase, step] = GetParam();
  const std::vector<std::string> more{
      "shard_base=world", "save_steps=2", "eval_strategy=steps", "eval_steps=2",
      fmt::format("eval_datasets=[{{path: {}}}]",
                  (fixtures() / "lora/train_curve/rows.jsonl").string())};
  RankedProgram program(3, shared_run(temp / "out", more),
                        {.fault = fmt::format("1:{}:{}:kill", step, phase)});
  EXPECT_EQ(program.rank(1).wait().signal, SIGKILL);
  for (const int other : {0, 2}) {
    const ProcessResult result = program.rank(other).wait();
    EXPECT_EQ(result.exit_code, 5) << "signal " << result.signal << "\n" << result.err;
    EXPECT_THAT(result.err, HasSubstr("lost rank 1"));
    EXPECT_THAT(result.err, HasSubstr(fmt::format("step {}, phase {}", step, phase)));
  }
  run_ranks(3, shared_run(temp / "out", more));
  run_ranks(3, shared_run(temp / "whole", more));
  EXPECT_EQ(adapter_of(temp / "out"), adapter_of(temp / "whole"));
}
INSTANTIATE_TEST_SUITE_P(Phases, SharedBaseKilled,
                         ::testing::Values(Loss{"step", 3}, Loss{"evaluation", 4}),
                         [](const auto& info) { return std::string(info.param.phase); });

TEST(SharedBaseRuns, AStoppedRankIsNamedAfterTheTimeout) {
  const TempFolder temp;
  RankedProgram program(2, shared_run(temp / "out", {"shard_base=world", "ddp_timeout=1"}),
                        {.fault = "1:3:step:stop"});
  const ProcessResult survivor = program.rank(0).wait();
  EXPECT_EQ(survivor.exit_code, 5) << survivor.err;
  EXPECT_THAT(survivor.err,
              HasSubstr("rank 1 has been silent for 1.0 s (ddp_timeout) in step 3, phase step, "
                        "layer "));
}

TEST(SharedBaseRuns, ADamagedPartIsTheErrorOfTheRankThatReadsIt) {
  const TempFolder temp;
  copy_folder(three_layers(), temp / "model");
  const fs::path path = temp / "model/model.safetensors";
  const auto file = model::SafetensorsFile::open(posix_file_system(), path);
  std::string bytes = content(path);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto& info = file.info("model.layers.2.mlp.down_proj.weight");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + sizeof header + header + info.begin + info.bytes() - sizeof nan, &nan,
              sizeof nan);
  put(path, bytes);
  const ProcessResult result =
      run_ranks(2,
                shared_run(temp / "out",
                           {"shard_base=world", "model_name_or_path=" + (temp / "model").string()}),
                {}, 3);
  EXPECT_THAT(result.err, HasSubstr("rank 1: weight model.layers.2.mlp.down_proj.weight has a "
                                    "value that is not finite at element 1951"));
}

TEST(SharedBaseRuns, FullFineTuningIsRefused) {
  const TempFolder temp;
  expect_refused(weft(shared_run(temp / "out",
                                 {"shard_base=world", "finetuning_type=full", "lora_dropout=0"})),
                 2, {"shard_base: world needs a frozen base"});
}

}  // namespace
}  // namespace weft::test
