// Training adapters over a base of 8-bit floats.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include "model/init.h"
#include "model/presets.h"
#include "tests/model/fixture.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/run_testing.h"
#include "trainer/device.h"
#include "trainer/trainable.h"

namespace weft {
namespace {

using test::fixture_config;
using ::testing::HasSubstr;

// A model of the tiny preset that learns to count in sevens; the fixtures' batches of fifty targets
// are too few for a hundredth.
trainer::RunConfig counting_config(const test::TempFolder& temp, const std::string& out,
                                   const std::vector<std::string>& more) {
  if (!fs::exists(temp / "model")) {
    PublishedFolder folder(posix_file_system(), temp / "model");
    model::write_random_checkpoint(
        posix_file_system(), folder.path(),
        model::override_config(model::preset_config("tiny", 256), {"num_hidden_layers=2"}), {});
    folder.commit();
    std::string rows;
    for (int row = 0; row < 64; ++row) {
      std::string ids;
      for (int i = 0; i < 32; ++i) {
        ids += fmt::format("{}{}", i == 0 ? "" : ", ", (row * 5 + i * 7) % 256);
      }
      rows += fmt::format("{{\"ids\": [{0}], \"labels\": [{0}]}}\n", ids);
    }
    publish_file(posix_file_system(), temp / "rows.jsonl", rows);
  }
  return trainer::parse_run_config(
             fmt::format("model_name_or_path: {}\noutput_dir: {}\ndatasets: [{}]\n"
                         "max_length: 32\nper_device_train_batch_size: 16\nmax_steps: 32\n"
                         "learning_rate: 0.01\nlora_rank: 16\ndevice: cpu\ndtype: bf16\n"
                         "save_strategy: no\n",
                         (temp / "model").string(), (temp / out).string(),
                         (temp / "rows.jsonl").string()),
             "run.yaml", more)
      .config;
}

TEST(Fp8Base, TheLossesAreThoseOfBf16WithinAHundredth) {
  at::set_num_threads(1);
  const test::TempFolder temp;
  (void)test::run(counting_config(temp, "bf16", {}));
  (void)test::run(counting_config(temp, "fp8", {"base_dtype=fp8"}));
  const auto bf16 = test::curve_of(temp / "bf16");
  const auto fp8 = test::curve_of(temp / "fp8");
  ASSERT_EQ(bf16.size(), 32U);
  ASSERT_EQ(fp8.size(), bf16.size());
  double difference = 0;
  for (std::size_t i = 0; i < bf16.size(); ++i) {
    EXPECT_NEAR(fp8[i].first, bf16[i].first, 0.01 * bf16[i].first) << "step " << i + 1;
    difference += std::abs(fp8[i].first - bf16[i].first);
  }
  EXPECT_GT(difference, 0.0) << "the base was not in fp8";
  EXPECT_LT(fp8.back().first, 0.8 * fp8.front().first) << "nothing was learnt";
}

TEST(Fp8Base, AResumedRunEndsBitForBitAsIfNeverStopped) {
  test::expect_resumed_equals_whole({"base_dtype=fp8", "dtype=bf16", "lora_dropout=0.1"});
}

// What is saved says nothing of it: the adapter goes with the model as it is on disk.
TEST(Fp8Base, TheAdapterIsOneForTheModelItself) {
  const test::TempFolder temp;
  (void)test::run(fixture_config("train_curve", temp / "bf16", {"max_steps=1"}));
  (void)test::run(fixture_config("train_curve", temp / "fp8", {"max_steps=1", "base_dtype=fp8"}));
  EXPECT_EQ(read_file(posix_file_system(), temp / "fp8/final/adapter_config.json"),
            read_file(posix_file_system(), temp / "bf16/final/adapter_config.json"));
  const auto fp8 = test::read_tensors(temp / "fp8/final/adapter_model.safetensors");
  const auto bf16 = test::read_tensors(temp / "bf16/final/adapter_model.safetensors");
  ASSERT_EQ(fp8.size(), bf16.size());
  for (const auto& [name, tensor] : bf16) {
    EXPECT_EQ(fp8.at(name).sizes(), tensor.sizes()) << name;
    EXPECT_EQ(fp8.at(name).scalar_type(), tensor.scalar_type()) << name;
  }
}

TEST(Fp8Base, AGpuThatCanNotMultiplyItIsNamed) {
  const model::Qwen3Config config = model::preset_config("0.6b");
  EXPECT_EQ(trainer::why_no_fp8(90, at::kBFloat16, config), "");
  EXPECT_EQ(trainer::why_no_fp8(89, at::kBFloat16, config), "");
  EXPECT_THAT(trainer::why_no_fp8(80, at::kBFloat16, config),
              HasSubstr("needs a GPU of compute capability 8.9 or newer, and this one has 8.0"));
  EXPECT_THAT(trainer::why_no_fp8(90, at::kFloat, config), HasSubstr("dtype: bf16"));
  model::Qwen3Config odd = config;
  odd.intermediate_size = 3080;
  EXPECT_THAT(trainer::why_no_fp8(90, at::kBFloat16, odd),
              HasSubstr("multiples of 16 on a GPU, and the model's intermediate_size is 3080"));
  EXPECT_NO_THROW(trainer::check_fp8_base(at::kCPU, at::kFloat, odd));
}

TEST(Fp8Base, EverySizeOfQwen3FitsAGpusProduct) {
  for (const char* name : {"0.6b", "1.7b", "4b", "8b", "14b", "32b"}) {
    EXPECT_EQ(trainer::why_no_fp8(90, at::kBFloat16, model::preset_config(name)), "") << name;
  }
}

}  // namespace
}  // namespace weft
