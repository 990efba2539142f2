// What was planned against what a real run allocates, by an allocator that counts.

#include "trainer/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "model/init.h"
#include "model/presets.h"
#include "tests/support/caught.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/run_testing.h"

namespace weft {
namespace {

using ::testing::HasSubstr;

// A model large enough that its buffers are what counts, and rows that fill whole micro-batches.
class MemoryPlanTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const model::Qwen3Config config = model::override_config(
        model::preset_config("tiny", 8192),
        {"hidden_size=256", "num_hidden_layers=4", "intermediate_size=768", "head_dim=64"});
    PublishedFolder folder(posix_file_system(), temp_ / "model");
    model::write_random_checkpoint(posix_file_system(), folder.path(), config, {});
    folder.commit();
    std::string ids;
    for (int i = 0; i < 512; ++i) {
      ids += fmt::format("{}{}", i == 0 ? "" : ", ", 1 + i * 7 % 8000);
    }
    std::string rows;
    for (int i = 0; i < 8; ++i) {
      rows += fmt::format("{{\"ids\": [{0}], \"labels\": [{0}]}}\n", ids);
    }
    publish_file(posix_file_system(), temp_ / "rows.jsonl", rows);
  }

  trainer::RunConfig config(const std::vector<std::string>& more) {
    std::string text = fmt::format(
        "model_name_or_path: {}\noutput_dir: {}\ndatasets: [{}]\nmax_length: 512\n"
        "per_device_train_batch_size: 2\nmax_steps: 3\nsave_steps: 1\nlora_rank: 16\ndevice: cpu\n",
        (temp_ / "model").string(), (temp_ / "out").string(), (temp_ / "rows.jsonl").string());
    return trainer::parse_run_config(text, "run.yaml", more).config;
  }

  test::TempFolder temp_;
};

TEST_P(MemoryPlanTest, IsWithinFivePercentOfWhatARunAllocates) {
  std::vector<std::string> settings;
  for (const std::string_view word : split(GetParam(), ' ')) {
    settings.emplace_back(word);
  }
  const trainer::RunConfig run_config = config(settings);
  const at::ScalarType dtype = run_config.dtype == "bf16" ? at::kBFloat16 : at::kFloat;
  const trainer::MemoryPlan plan =
      trainer::plan_memory(posix_file_system(), run_config, dtype, at::kCPU,
                           {2, run_config.gradient_checkpointing == "true"});
  const test::CountingAllocator& counter = test::count_allocations();
  (void)test::run(run_config);
  const auto measured = static_cast<double>(counter.peak());
  EXPECT_NEAR(static_cast<double>(plan.total()), measured, 0.05 * measured)
      << "weights " << plan.weights << ", trained " << plan.trained << ", activations "
      << plan.activations << ", workspace " << plan.workspace;
}
INSTANTIATE_TEST_SUITE_P(Runs, MemoryPlanTest,
                         ::testing::Values("dtype=fp32", "dtype=bf16",
                                           "dtype=fp32 gradient_checkpointing=true",
                                           "dtype=bf16 base_dtype=fp8",
                                           "dtype=fp32 lora_gemm=extended",
                                           "dtype=bf16 lora_gemm=extended",
                                           "dtype=bf16 lora_gemm=extended "
                                           "gradient_checkpointing=true",
                                           "dtype=fp32 base_dtype=fp8 gradient_checkpointing=true",
                                           "dtype=fp32 finetuning_type=full async_save=false",
                                           "dtype=bf16 finetuning_type=full async_save=false"));

class Fp8PlanTest : public MemoryPlanTest {};

TEST_P(Fp8PlanTest, SavesAByteOfEachFrozenNumberOfTheLayers) {
  const auto plan = [&](const std::vector<std::string>& more, c10::DeviceType device) {
    return trainer::plan_memory(posix_file_system(), config(more), at::kBFloat16, device,
                                {2, false});
  };
  const model::Qwen3Config shape = model::read_qwen3_config(posix_file_system(), temp_ / "model");
  const std::int64_t q_rows = shape.num_attention_heads * shape.head_dim;
  const std::int64_t qkv_rows = q_rows + 2 * shape.num_key_value_heads * shape.head_dim;
  const std::int64_t ffn = shape.intermediate_size;
  const std::int64_t numbers = shape.hidden_size * (qkv_rows + q_rows + 3 * ffn);
  const std::int64_t rows = qkv_rows + 2 * shape.hidden_size + 2 * ffn;
  for (const c10::DeviceType device : {at::kCPU, at::kCUDA}) {
    const trainer::MemoryPlan plain = plan({}, device);
    const trainer::MemoryPlan fp8 = plan({"base_dtype=fp8"}, device);
    EXPECT_EQ(plain.weights - fp8.weights, shape.num_hidden_layers * (numbers - 4 * rows));
    EXPECT_EQ(fp8.trained, plain.trained);
    EXPECT_EQ(fp8.activations, plain.activations);
  }
}
INSTANTIATE_TEST_SUITE_P(One, Fp8PlanTest, ::testing::Values(""));

class LargestBatchTest : public MemoryPlanTest {};

TEST_P(LargestBatchTest, IsTheLastThatFits) {
  const trainer::RunConfig run_config = config({});
  FileSystem& files = posix_file_system();
  const auto total = [&](std::int64_t documents) {
    return trainer::plan_memory(files, run_config, at::kFloat, at::kCPU, {documents, false})
        .total();
  };
  EXPECT_LT(total(1), total(2));
  const std::int64_t bytes = total(5) + 1;
  EXPECT_EQ(trainer::largest_batch(files, run_config, at::kFloat, at::kCPU, bytes, false), 5);
  EXPECT_GT(trainer::largest_batch(files, run_config, at::kFloat, at::kCPU, bytes, true), 5);
  EXPECT_EQ(trainer::largest_batch(files, run_config, at::kFloat, at::kCPU, 1000, false), 0);
}

TEST_P(LargestBatchTest, MoreTokensThanCanBePackedAreRefused) {
  const trainer::RunConfig run_config = config({});
  EXPECT_THAT(test::caught([&] {
                (void)trainer::plan_memory(posix_file_system(), run_config, at::kFloat, at::kCPU,
                                           {std::int64_t{1} << 40, false});
              }).what(),
              HasSubstr("micro-batch"));
}
INSTANTIATE_TEST_SUITE_P(One, LargestBatchTest, ::testing::Values(""));

class MemoryChoiceTest : public MemoryPlanTest {
 protected:
  // What `choose_memory` does with `available` bytes more than weights and optimizer take.
  trainer::MemoryChoice choose(std::int64_t available, const std::vector<std::string>& more = {}) {
    return trainer::choose_memory(posix_file_system(), config(more), at::kFloat, at::kCPU,
                                  available);
  }
  std::int64_t total(std::int64_t documents, bool checkpointing) {
    return trainer::plan_memory(posix_file_system(), config({}), at::kFloat, at::kCPU,
                                {documents, checkpointing})
        .total();
  }
};

TEST_P(MemoryChoiceTest, IsTheFastestThatFits) {
  const trainer::MemoryChoice plain = choose(total(2, false));
  EXPECT_FALSE(plain.gradient_checkpointing);
  EXPECT_EQ(plain.tokens_per_pass, 0);
  const trainer::MemoryChoice recomputed = choose(total(2, false) - 1);
  EXPECT_TRUE(recomputed.gradient_checkpointing);
  EXPECT_EQ(recomputed.tokens_per_pass, 0);
  const trainer::MemoryChoice smaller = choose(total(2, true) - 1);
  EXPECT_TRUE(smaller.gradient_checkpointing);
  EXPECT_EQ(smaller.tokens_per_pass, 512);
}

TEST_P(MemoryChoiceTest, LeavesWhatTheConfigDecides) {
  const trainer::MemoryChoice never = choose(total(2, false) - 1, {"gradient_checkpointing=false"});
  EXPECT_FALSE(never.gradient_checkpointing);
  EXPECT_EQ(never.tokens_per_pass, 512);
  EXPECT_TRUE(choose(total(2, false), {"gradient_checkpointing=true"}).gradient_checkpointing);
  EXPECT_EQ(choose(0).tokens_per_pass, 0) << "free memory is not known";
}

TEST_P(MemoryChoiceTest, RefusesWhatCanNeverFit) {
  const Error error = test::caught([&] { (void)choose(1000); });
  EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
  EXPECT_THAT(error.what(), HasSubstr("weights and optimizer alone take"));
}

// Ranks that share micro-batches evaluate whole documents, each its own.
TEST_P(MemoryChoiceTest, SaysWhereEvaluationMayNotFit) {
  const auto said = [&](const std::string& context) {
    ::testing::internal::CaptureStderr();
    (void)choose(total(2, false),
                 {context, "per_device_eval_batch_size=16",
                  fmt::format("eval_datasets=[{}]", (temp_ / "rows.jsonl").string())});
    return ::testing::internal::GetCapturedStderr();
  };
  EXPECT_THAT(said("context_parallel_size=2"),
              HasSubstr("evaluation has whole documents on each rank: 16 x 512 tokens may take"));
  EXPECT_THAT(said("context_parallel_size=1"), ::testing::Not(HasSubstr("evaluation")));
}

// Passes of a part of the micro-batch: the same loss and update, up to the order of sums.
TEST_P(MemoryChoiceTest, SmallerPassesTrainTheSame) {
  trainer::RunConfig whole = config({"max_steps=2", "gradient_checkpointing=false"});
  const trainer::RunResult one = test::run(whole);
  trainer::RunConfig parts = config({"max_steps=2", "gradient_checkpointing=false"});
  parts.output_dir += "-parts";
  parts.max_memory = static_cast<double>(total(2, false) - 1) / (1 << 30);
  EXPECT_NEAR(test::run(parts).loss, one.loss, 1e-5);
}
INSTANTIATE_TEST_SUITE_P(One, MemoryChoiceTest, ::testing::Values(""));

}  // namespace
}  // namespace weft
