// Several ranks train as one does.

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/json.h"
#include "distributed/scaling.h"
#include "model/safetensors.h"
#include "tests/program/rank_program.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

// Steps of twelve micro-batches of one document, of any number of ranks that divides it: across the
// end of an epoch of 128 documents, whose last step is short.
std::vector<std::string> shared_run(const fs::path& out, int world,
                                    const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments =
      train_arguments(out, {"max_steps=13", "save_steps=100", "shuffle=true", "lora_dropout=0.1",
                            "per_device_train_batch_size=1", "report_to=none",
                            fmt::format("gradient_accumulation_steps={}", 12 / world)});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

class RankCount : public ::testing::TestWithParam<int> {};

// The first loss is bit for bit the same, being summed in the order of the micro-batches. After the
// first update it is the same to fp32 rounding: a rank adds up the gradients of its micro-batches
// before they are added across ranks, and addition in another order rounds otherwise.
TEST_P(RankCount, TheSameGlobalBatchGivesTheSameCurve) {
  const TempFolder temp;
  ASSERT_EQ(weft(shared_run(temp / "one", 1)).exit_code, 0);
  run_ranks(GetParam(), shared_run(temp / "many", GetParam()));
  const auto one = logged_steps(temp / "one");
  const auto many = logged_steps(temp / "many");
  ASSERT_EQ(one.size(), 13U);
  ASSERT_EQ(many.size(), 13U);
  EXPECT_EQ(many[0].loss, one[0].loss);
  for (std::size_t i = 0; i < one.size(); ++i) {
    EXPECT_NEAR(many[i].loss, one[i].loss, 2e-6) << "step " << i + 1;
    EXPECT_NEAR(many[i].grad_norm, one[i].grad_norm, 1e-5) << "step " << i + 1;
    EXPECT_EQ(many[i].tokens, one[i].tokens) << "step " << i + 1;
    EXPECT_EQ(many[i].trained_tokens, one[i].trained_tokens) << "step " << i + 1;
  }
}

TEST_P(RankCount, EqualRunsGiveEqualBits) {
  const TempFolder temp;
  std::vector<std::string> adapters;
  for (const char* name : {"first", "second"}) {
    run_ranks(GetParam(), shared_run(temp / name, GetParam(), {"max_steps=3"}));
    adapters.push_back(content(temp / name / "final/adapter_model.safetensors"));
  }
  EXPECT_EQ(adapters[0], adapters[1]);
}

TEST_P(RankCount, EvaluationIsThatOfOneRankBitForBit) {
  const TempFolder temp;
  const fs::path folder = fixtures() / "lora/train_curve";
  const std::vector<std::string> arguments{
      "eval",
      (folder / "run.yaml").string(),
      "model_name_or_path=" + tiny_model().string(),
      fmt::format("datasets=[{{path: {}}}]", (folder / "rows.jsonl").string()),
      fmt::format("eval_datasets=[{{path: {}}}]", (folder / "rows.jsonl").string()),
      "output_dir=" + (temp / "out").string(),
      "per_device_eval_batch_size=3"};
  const std::string one = weft(arguments).out;
  EXPECT_THAT(one, HasSubstr("eval_loss"));
  EXPECT_EQ(run_ranks(GetParam(), arguments).out, one);
}
INSTANTIATE_TEST_SUITE_P(Ranks, RankCount, ::testing::Values(2, 3, 4));

TEST(Ranks, ARunGoesOnWithAnotherNumberOfRanks) {
  const TempFolder temp;
  run_ranks(2, shared_run(temp / "whole", 2, {"save_steps=5"}));
  const auto whole = logged_steps(temp / "whole");
  for (const int world : {1, 3}) {
    const fs::path out = temp / fmt::format("on-{}", world);
    copy_folder(temp / "whole/checkpoint-000005", out / "checkpoint-000005");
    const ProcessResult result = run_ranks(world, shared_run(out, world));
    EXPECT_THAT(result.err,
                HasSubstr(fmt::format("setting: ranks: 2 in the checkpoint, {} now", world)));
    const auto rest = logged_steps(out);
    ASSERT_EQ(rest.size(), 8U);
    for (std::size_t i = 0; i < rest.size(); ++i) {
      EXPECT_NEAR(rest[i].loss, whole[i + 5].loss, 2e-6) << "step " << i + 6;
      EXPECT_EQ(rest[i].tokens, whole[i + 5].tokens) << "step " << i + 6;
    }
  }
}

// As after the loss of a node: nobody has changed the config.
TEST(Ranks, WithAnotherGlobalBatchEverySampleOfTheEpochIsStillSeenOnce) {
  const TempFolder temp;
  const std::vector<std::string> epoch{"max_steps=-1", "num_train_epochs=1",
                                       "gradient_accumulation_steps=3"};
  auto with = [&](const fs::path& out, std::vector<std::string> more) {
    more.insert(more.begin(), epoch.begin(), epoch.end());
    return shared_run(out, 1, more);
  };
  ASSERT_EQ(weft(with(temp / "one", {})).exit_code, 0);
  run_ranks(3, with(temp / "many", {"save_steps=4"}));
  for (const char* name : {"checkpoint-000008", "checkpoint-000012"}) {
    copy_folder(temp / "many" / name, temp / "fewer" / name);
  }
  run_ranks(2, with(temp / "fewer", {}));
  const auto one = logged_steps(temp / "one");
  const auto fewer = logged_steps(temp / "fewer");
  EXPECT_EQ(fewer.back().tokens, one.back().tokens);
  EXPECT_EQ(fewer.back().trained_tokens, one.back().trained_tokens);
  // 12 steps of nine documents leave 20, which are 4 steps of six.
  EXPECT_EQ(fewer.size(), 4U);
}

TEST(Ranks, RankZeroAloneWritesAndOnlyOnce) {
  const TempFolder temp;
  const ProcessResult result = run_ranks(
      2, shared_run(temp / "out", 2, {"max_steps=2", "save_steps=1", "report_to=tensorboard"}));
  EXPECT_EQ(logged_steps(temp / "out").size(), 2U);
  EXPECT_THAT(result.err, HasSubstr("rank  host"));
  EXPECT_THAT(leftovers(temp / "out"), ::testing::IsEmpty());
  EXPECT_FALSE(fs::exists(temp / "out/.lock"));
  std::size_t events = 0;
  for (const auto& entry : fs::directory_iterator(temp / "out/tensorboard")) {
    events += entry.is_regular_file() ? 1U : 0U;
  }
  EXPECT_EQ(events, 1U);
}

// A copy of the base whose logits overflow, spoilt where the fingerprint does not look: in the
// middle of a tensor.
void write_spoilt_model(const fs::path& folder) {
  copy_folder(tiny_model(), folder);
  const fs::path path = folder / "model.safetensors";
  const auto file = model::SafetensorsFile::open(posix_file_system(), path);
  std::string bytes = content(path);
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  const auto& info = file.info("model.embed_tokens.weight");
  ASSERT_GT(info.bytes(), 4U * 4096U);
  const std::uint64_t middle = sizeof header + header + info.begin + 2 * 4096;
  const float huge = std::numeric_limits<float>::max();  // finite, as a base must be
  for (std::uint64_t i = 0; i < 1024; ++i) {
    std::memcpy(bytes.data() + middle + 4 * i, &huge, sizeof huge);
  }
  put(path, bytes);
}

TEST(Ranks, ALossThatIsNotFiniteOnOneRankStopsAllBeforeTheUpdate) {
  const TempFolder temp;
  write_spoilt_model(temp / "spoilt");
  RankOptions options;
  options.only_rank_one = "model_name_or_path=" + (temp / "spoilt").string();
  const ProcessResult stopped =
      run_ranks(2, shared_run(temp / "stop", 2, {"max_steps=3"}), options, 4);
  EXPECT_THAT(stopped.err, HasSubstr("step 1: the loss of a micro-batch of rank 1 is nan"));
  EXPECT_THAT(stopped.err, HasSubstr("is not finite; nothing was updated"));
  EXPECT_FALSE(fs::exists(temp / "stop/final"));

  run_ranks(2, shared_run(temp / "skip", 2, {"max_steps=2", "nonfinite=skip"}), options, 0);
  const auto trained = content(temp / "skip/final/adapter_model.safetensors");
  run_ranks(2, shared_run(temp / "none", 2, {"max_steps=1", "nonfinite=skip"}), options, 0);
  EXPECT_EQ(trained, content(temp / "none/final/adapter_model.safetensors"));  // nothing changed it
}

// What a rank says at its end that it has sent.
std::uint64_t bytes_sent(const ProcessResult& result) { return logged_number(result, "has sent "); }

class ScalingRun : public ::testing::TestWithParam<int> {};

TEST_P(ScalingRun, AStepSendsTheBytesThatTheModelCounts) {
  const int world = GetParam();
  const TempFolder temp;
  ::setenv("WEFT_LOG", "debug", 1);
  std::vector<std::vector<ProcessResult>> runs;
  for (const int steps : {2, 5}) {
    RankedProgram program(world, shared_run(temp / fmt::format("out-{}", steps), world,
                                            {fmt::format("max_steps={}", steps)}));
    runs.push_back(program.wait_all());
  }
  ::unsetenv("WEFT_LOG");
  const auto optimizer = model::SafetensorsFile::open(
      posix_file_system(), temp / "out-2/checkpoint-000002/optimizer.safetensors");
  const std::int64_t gradients = optimizer.info("values").shape.at(0);
  for (int rank = 0; rank < world; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    EXPECT_EQ(bytes_sent(runs[1][r]) - bytes_sent(runs[0][r]),
              3 * distributed::step_bytes(rank, world, gradients, 12))
        << "rank " << rank << " of " << world;
  }
}
INSTANTIATE_TEST_SUITE_P(Ranks, ScalingRun, ::testing::Values(2, 3, 4));

class OneIsTold : public ::testing::TestWithParam<int> {};

TEST_P(OneIsTold, ToStopAndAllSaveAndLeaveAndTheSameCommandGoesOn) {
  const TempFolder temp;
  const std::vector<std::string> arguments = shared_run(temp / "out", 2, {"max_steps=60"});
  RankedProgram program(2, arguments);
  ASSERT_TRUE(wait_for_steps(program.rank(0), temp / "out", 2));
  program.rank(GetParam()).send(SIGTERM);
  for (const ProcessResult& result : program.wait_all()) {
    EXPECT_EQ(result.exit_code, 0) << result.err;
  }
  EXPECT_FALSE(fs::exists(temp / "out/final"));
  EXPECT_THAT(run_ranks(2, arguments).err, HasSubstr("resuming from"));
  EXPECT_EQ(logged_steps(temp / "out").size(), 60U);
  EXPECT_TRUE(fs::exists(temp / "out/final"));
}
INSTANTIATE_TEST_SUITE_P(Ranks, OneIsTold, ::testing::Values(0, 1));

}  // namespace
}  // namespace weft::test
