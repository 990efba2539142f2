// The weft program on a GPU that is not there: whole runs, alone and as several ranks, take every
// decision, allocation and launch that they would take on one. Their numbers mean nothing.

#include <fstream>
#include <memory>
#include <sstream>

#include "base/json.h"
#include "tests/program/program_testing.h"
#include "tests/program/rank_program.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What the stand-in wrote when a process ended: {"launches": 3, "host_waits": 1, …}.
std::map<std::string, std::uint64_t> report_of(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  std::istringstream words(line);
  std::map<std::string, std::uint64_t> report;
  std::string name;
  std::uint64_t count = 0;
  while (words >> name >> count) {
    report[name] = count;
  }
  EXPECT_FALSE(report.empty()) << file;
  return report;
}

struct Ended {
  ProcessResult result;
  std::map<std::string, std::uint64_t> report;
};

// The command line of weft on the stand-in.
std::vector<std::string> on_absent_gpu(const std::vector<std::string>& arguments,
                                       const fs::path& report,
                                       const std::vector<std::string>& environment = {}) {
  std::vector<std::string> command{"env", "WEFT_ABSENT_GPU_REPORT=" + report.string()};
  command.insert(command.end(), environment.begin(), environment.end());
  command.insert(command.end(), {WEFT_SOURCE_DIR "/tests/absent_gpu/run.sh", WEFT_BINARY_DIR});
  const std::vector<std::string> program = weft_command(arguments);
  command.insert(command.end(), program.begin(), program.end());
  return command;
}

class AbsentGpuProgram : public ::testing::Test {
 protected:
  Ended run(const std::vector<std::string>& arguments,
            const std::vector<std::string>& environment = {}) {
    const fs::path report = temp_ / fmt::format("report{}", runs_++);
    Ended run{run_process(on_absent_gpu(arguments, report, environment)), {}};
    run.report = report_of(report);
    return run;
  }

  // A run of four steps on a model whose shape all kernels take; `more` are overrides.
  std::vector<std::string> training(const std::vector<std::string>& more,
                                    const fs::path& model = fixtures() / "model/head_128") {
    std::vector<std::string> overrides{"device=cuda",
                                       "dtype=bf16",
                                       "max_steps=4",
                                       "save_steps=2",
                                       "lora_rank=8",
                                       "lora_gemm=plain",
                                       "adapter_name_or_path=''",
                                       "model_name_or_path=" + model.string()};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return train_arguments(temp_ / fmt::format("out{}", runs_), overrides);
  }

  // A model of random weights whose sizes are multiples of 16.
  fs::path even_model() {
    const fs::path folder = temp_ / "even";
    if (!fs::exists(folder)) {
      const auto made = weft({"init", "--preset", "tiny", "--vocab-size", "512", "--out", folder});
      EXPECT_EQ(made.exit_code, 0) << made.err;
    }
    return folder;
  }

  static void expect_right(const Ended& run) {
    EXPECT_EQ(run.result.exit_code, 0) << run.result.err;
    EXPECT_EQ(run.report.at("faults"), 0u) << run.result.err;
  }

  TempFolder temp_;
  int runs_ = 0;
};

TEST_F(AbsentGpuProgram, SaysThatAGpuIsUsable) {
  const Ended env = run({"env"});
  EXPECT_THAT(env.result.out, HasSubstr("GPU       usable: "));
  EXPECT_THAT(env.result.out, HasSubstr("compute capability 9.0, "));
}

TEST_F(AbsentGpuProgram, TrainsInEveryForm) {
  for (const std::vector<std::string>& form :
       std::vector<std::vector<std::string>>{{},
                                             {"lora_gemm=extended"},
                                             {"lora_dropout=0.1"},
                                             {"gradient_checkpointing=true"},
                                             {"deterministic=false"},
                                             {"attn_implementation=flash"},
                                             {"attn_implementation=flash", "deterministic=false"},
                                             {"attn_implementation=composed"},
                                             {"dtype=fp32"},
                                             {"async_save=true"},
                                             {"finetuning_type=full"}}) {
    SCOPED_TRACE(::testing::PrintToString(form));
    const Ended trained = run(training(form));
    expect_right(trained);
    EXPECT_GT(trained.report.at("own"), 100u);
    EXPECT_THAT(trained.result.err, Not(HasSubstr("warning")));
  }
}

// Both forms are tried once, and here either may win. A run goes by what is remembered, and on by
// what it began with.
TEST_F(AbsentGpuProgram, TriesBothFormsOfLoraAndRemembers) {
  const std::vector<std::string> environment{"XDG_CACHE_HOME=" + (temp_ / "cache").string()};
  const fs::path folder = temp_ / "cache/weft/choices";
  const auto form_of = [](const std::vector<std::string>& arguments, const char* checkpoint) {
    fs::path out;
    for (const std::string& argument : arguments) {
      out = argument.starts_with("output_dir=") ? fs::path(argument.substr(11)) : out;
    }
    const Json state =
        parse_json(content(out / checkpoint / "trainer_state.json"), "trainer_state.json");
    return state.at("weft").at("settings").at("lora_gemm").get<std::string>();
  };
  std::vector<std::string> arguments = training({"lora_gemm=auto", "max_steps=2"});
  const Ended first = run(arguments, environment);
  expect_right(first);
  EXPECT_THAT(first.result.err, HasSubstr("lora_gemm: auto is "));
  const std::string chosen = form_of(arguments, "checkpoint-000002");

  arguments = training({"lora_gemm=auto", "max_steps=2"});
  const Ended second = run(arguments, environment);
  expect_right(second);
  EXPECT_THAT(second.result.err, HasSubstr("as a trial found earlier"));
  EXPECT_LT(second.report.at("launches"), first.report.at("launches"));

  EXPECT_EQ(form_of(arguments, "checkpoint-000002"), chosen);

  const fs::path remembered = fs::directory_iterator(folder)->path();
  Json choice = parse_json(content(remembered), "choice");
  EXPECT_THAT(choice.at("of").get<std::string>(), HasSubstr("hidden"));
  EXPECT_EQ(choice.at("choice"), chosen);
  const std::string other = chosen == "plain" ? "extended" : "plain";
  choice.at("choice") = other;
  put(remembered, dump_json(choice));
  arguments = training({"lora_gemm=auto", "max_steps=2"});
  expect_right(run(arguments, environment));
  EXPECT_EQ(form_of(arguments, "checkpoint-000002"), other);

  fs::remove(remembered);
  arguments.emplace_back("max_steps=4");
  expect_right(run(arguments, environment));
  EXPECT_EQ(form_of(arguments, "checkpoint-000004"), other);
  EXPECT_FALSE(fs::exists(remembered)) << "tried again";
}

TEST_F(AbsentGpuProgram, AutoIsPlainWhereTheOtherFormCannotBe) {
  const auto train = [&](const char* option) {
    return run(training({"lora_gemm=auto", "save_strategy=no", option}),
               {"XDG_CACHE_HOME=" + (temp_ / "cache").string()});
  };
  expect_right(train("lora_dropout=0.1"));
  expect_right(train("finetuning_type=full"));
  EXPECT_THAT(train("max_memory=0.001").result.err, HasSubstr("there is no room to try both"));
  EXPECT_FALSE(fs::exists(temp_ / "cache")) << "something was tried";
}

TEST_F(AbsentGpuProgram, TrainsOnABaseOf8BitFloats) {
  for (const char* extra : {"lora_dropout=0", "lora_dropout=0.1", "gradient_checkpointing=true"}) {
    expect_right(run(training({"base_dtype=fp8", extra}, even_model())));
  }
}

// What is said to be waited for once in a step is waited for once in a step.
TEST_F(AbsentGpuProgram, TheHostWaitsOnceInAStep) {
  const std::vector<std::string> common{"save_strategy=no", "per_device_train_batch_size=2",
                                        "gradient_accumulation_steps=3"};
  const auto waits = [&](const char* steps, const char* form) {
    std::vector<std::string> overrides = common;
    overrides.insert(overrides.end(), {steps, form});
    const Ended trained = run(training(overrides));
    expect_right(trained);
    return trained.report.at("host_waits");
  };
  for (const char* form : {"lora_gemm=plain", "lora_gemm=extended", "attn_implementation=flash"}) {
    SCOPED_TRACE(form);
    EXPECT_EQ(waits("max_steps=9", form) - waits("max_steps=4", form), 5u);
  }
}

TEST_F(AbsentGpuProgram, LaunchesLayersFromRecordings) {
  for (const char* form : {"lora_gemm=plain", "lora_gemm=extended", "attn_implementation=flash"}) {
    SCOPED_TRACE(form);
    const Ended trained =
        run(training({"cuda_graphs=true", "max_steps=8", "save_strategy=no", form}));
    expect_right(trained);
    EXPECT_GT(trained.report.at("graph_launches"), 8u);
    EXPECT_THAT(trained.result.err, Not(HasSubstr("can't be recorded")));
  }
}

// Without a cache each of LibTorch's tensors has memory of its own (those of the passes lie in two
// arenas): what leaves it is found. A recording, which then takes memory, is given up.
TEST_F(AbsentGpuProgram, StaysWithinItsMemory) {
  const std::vector<std::string> uncached{"PYTORCH_NO_CUDA_MEMORY_CACHING=1"};
  expect_right(run(training({}), uncached));
  expect_right(run(training({"lora_gemm=extended"}), uncached));
  const Ended recorded = run(training({"cuda_graphs=true", "max_steps=8"}), uncached);
  EXPECT_EQ(recorded.result.exit_code, 0) << recorded.result.err;
  EXPECT_EQ(recorded.report.at("graph_launches"), 0u);
  EXPECT_THAT(recorded.result.err, HasSubstr("kernels are launched one by one"));
}

TEST_F(AbsentGpuProgram, HeadsThatNoFusedKernelTakes) {
  const Ended trained = run(training({}, fixtures() / "model/tied_gqa1"));
  expect_right(trained);
  EXPECT_THAT(trained.result.err, HasSubstr("composed of plain operators"));
  EXPECT_EQ(trained.report.at("attentions"), 0u);
}

TEST_F(AbsentGpuProgram, ScoresEvaluatesAndGenerates) {
  const std::string model = (fixtures() / "model/head_128").string();
  const fs::path rows = fixtures() / "lora/train_curve/rows.jsonl";
  put(temp_ / "ids.jsonl", "{\"ids\": [1, 2, 3, 4]}\n");
  const auto piped = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--model", model, "--device", "cuda"});
    const fs::path report = temp_ / fmt::format("report{}", runs_++);
    const auto result = run_process(on_absent_gpu(arguments, report), content(temp_ / "ids.jsonl"));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(report_of(report).at("faults"), 0u) << result.err;
  };
  piped({"score"});
  piped({"generate", "--json", "--greedy", "--max-new-tokens", "4"});
  std::vector<std::string> evaluation =
      training({fmt::format("eval_datasets=[{{path: {}}}]", rows.string())});
  evaluation.front() = "eval";
  expect_right(run(evaluation));
}

TEST_F(AbsentGpuProgram, ResumesWhereItWas) {
  const std::vector<std::string> first = training({"max_steps=2"});
  expect_right(run(first));
  std::vector<std::string> second = first;
  second.emplace_back("max_steps=4");
  const Ended resumed = run(second);
  expect_right(resumed);
  EXPECT_THAT(resumed.result.err, HasSubstr("resuming from"));
}

// A model that is large enough for a plan's error to show, on a device that is large enough, too
// small for the passes, and too small for anything.
class AbsentGpuMemory : public AbsentGpuProgram {
 protected:
  void SetUp() override {
    model_ = temp_ / "model";
    const auto made = weft({"init", "--preset", "tiny", "--vocab-size", "32768", "--out", model_,
                            "--set", "hidden_size=512", "intermediate_size=1536",
                            "num_hidden_layers=8", "num_attention_heads=8", "num_key_value_heads=4",
                            "head_dim=128", "max_position_embeddings=4096"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    std::string ids = "[1";
    for (int i = 1; i < 2048; ++i) {
      ids += ", " + std::to_string(i % 1000);
    }
    ids += "]";
    std::string rows;
    for (int i = 0; i < 8; ++i) {
      rows += fmt::format("{{\"ids\": {}, \"labels\": {}}}\n", ids, ids);
    }
    put(temp_ / "rows.jsonl", rows);
  }

  std::vector<std::string> long_training(const std::vector<std::string>& more) {
    std::vector<std::string> overrides{
        fmt::format("datasets=[{{path: {}}}]", (temp_ / "rows.jsonl").string()), "max_length=2048",
        "per_device_train_batch_size=2", "gradient_accumulation_steps=1", "save_strategy=no"};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return training(overrides, model_);
  }

  // Bytes that weft estimate says, and those that the device was asked for.
  std::pair<double, double> planned_and_taken(const std::vector<std::string>& form) {
    std::vector<std::string> arguments = long_training(form);
    const Ended trained = run(arguments);
    expect_right(trained);
    arguments.front() = "estimate";
    // Without a GPU, which it asks for its memory alone; with little, as it seeks the largest
    // batch.
    arguments.insert(arguments.begin() + 1, {"--json", "--memory", "2"});
    const ProcessResult estimated = weft(arguments);
    EXPECT_EQ(estimated.exit_code, 0) << estimated.err;
    const Json plans = parse_json(estimated.out, "estimate");
    const bool recomputes =
        std::find(form.begin(), form.end(), "gradient_checkpointing=true") != form.end();
    const Json& plan = plans.at(recomputes ? "gradient_checkpointing" : "plain");
    return {plan.at("total").get<double>(), static_cast<double>(trained.report.at("peak_bytes"))};
  }

  fs::path model_;
};

TEST_F(AbsentGpuMemory, IsWhatTheEstimateSays) {
  // What cuBLAS keeps as workspace, and what a block of LibTorch's allocator has left at its end.
  constexpr double kBeside = 64 << 20;
  for (const std::vector<std::string>& form :
       std::vector<std::vector<std::string>>{{},
                                             {"lora_gemm=extended"},
                                             {"gradient_checkpointing=true"},
                                             {"deterministic=false"},
                                             {"attn_implementation=flash"},
                                             {"attn_implementation=composed"},
                                             {"dtype=fp32"},
                                             {"base_dtype=fp8"},
                                             {"finetuning_type=full"}}) {
    SCOPED_TRACE(::testing::PrintToString(form));
    const auto [planned, taken] = planned_and_taken(form);
    RecordProperty("taken_of_planned" + (form.empty() ? "" : "_" + form[0]),
                   std::to_string(taken / planned));
    EXPECT_LT(taken, 1.05 * planned + kBeside);
    EXPECT_GT(taken, 0.95 * planned);
  }
}

TEST_F(AbsentGpuMemory, ThatIsShortIsMadeToDo) {
  const auto [planned, taken] = planned_and_taken({});
  const auto gib = [](double bytes) {
    return "WEFT_ABSENT_GPU_GIB=" + std::to_string(bytes / (1 << 30));
  };
  constexpr double kLibraries = 512 << 20;  // what a run leaves free for them
  const Ended recomputed = run(long_training({}), {gib(planned * 0.9 + kLibraries)});
  expect_right(recomputed);
  EXPECT_THAT(recomputed.result.err, HasSubstr("computed again in the backward pass"));
  EXPECT_LT(recomputed.report.at("peak_bytes"), taken * 0.9);
  const Ended refused = run(long_training({}), {gib(0.02 * (1 << 30))});
  EXPECT_EQ(refused.result.exit_code, 7) << refused.result.err;
  EXPECT_THAT(refused.result.err, HasSubstr("weights and optimizer alone take"));
}

// Ranks over NCCL, whose stand-in computes. Without a cache memory is zero, and ranks that computed
// nothing hold the same.
class AbsentGpuRanks : public AbsentGpuProgram {
 protected:
  void train(const std::vector<std::string>& form) {
    SCOPED_TRACE(::testing::PrintToString(form));
    std::vector<std::string> overrides{"ddp_backend=nccl"};
    overrides.insert(overrides.end(), form.begin(), form.end());
    const std::vector<std::string> arguments = training(overrides);
    const int port = free_port();
    std::vector<std::unique_ptr<Process>> ranks;
    const fs::path folder = temp_ / fmt::format("ranks{}", runs_++);
    fs::create_directories(folder);
    for (int rank = 0; rank < kRanks; ++rank) {
      ranks.push_back(std::make_unique<Process>(on_absent_gpu(
          arguments, report(folder, rank),
          {fmt::format("RANK={}", rank), fmt::format("LOCAL_RANK={}", rank),
           fmt::format("WORLD_SIZE={}", kRanks), fmt::format("LOCAL_WORLD_SIZE={}", kRanks),
           "MASTER_ADDR=127.0.0.1", fmt::format("MASTER_PORT={}", port),
           fmt::format("WEFT_ABSENT_GPU_COUNT={}", kRanks), "PYTORCH_NO_CUDA_MEMORY_CACHING=1"})));
    }
    for (int rank = 0; rank < kRanks; ++rank) {
      const ProcessResult result = ranks[static_cast<std::size_t>(rank)]->wait();
      EXPECT_EQ(result.exit_code, 0) << result.err;
      const auto counts = report_of(report(folder, rank));
      EXPECT_EQ(counts.at("faults"), 0u) << result.err;
      EXPECT_GE(counts.at("collectives"), 4u);
    }
  }

 private:
  static constexpr int kRanks = 2;
  static fs::path report(const fs::path& folder, int rank) { return folder / std::to_string(rank); }
};

TEST_F(AbsentGpuRanks, TrainOverNccl) {
  train({});
  train({"lora_gemm=extended"});
  train({"lora_gemm=auto"});
  train({"finetuning_type=full"});
}

TEST_F(AbsentGpuRanks, ShareABaseAndDocumentsOverNccl) {
  train({"shard_base=node"});
  train({"shard_base=node", "gradient_checkpointing=true"});
  train({"context_parallel_size=2"});
  train({"shard_base=world", "context_parallel_size=2"});
}

}  // namespace
}  // namespace weft::test
