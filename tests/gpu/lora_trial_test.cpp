// Both forms of LoRA at Qwen3's sizes on a GPU, as lora_gemm: auto tries them.

#include "trainer/lora_trial.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "trainer/device.h"

namespace weft::trainer {
namespace {

TEST(GpuLoraTrial, BothFormsHaveTheSameGradients) {
  const c10::Device device = resolve_device("auto");
  if (!device.is_cuda()) {
    GTEST_SKIP() << "there is no GPU that LibTorch can use";
  }
  model::Qwen3Config small;  // 0.6B
  small.hidden_size = 1024;
  small.intermediate_size = 3072;
  small.num_attention_heads = 16;
  small.num_key_value_heads = 8;
  small.head_dim = 128;
  model::Qwen3Config large = small;  // 8B
  large.hidden_size = 4096;
  large.intermediate_size = 12288;
  large.num_attention_heads = 32;
  for (const model::Qwen3Config& shape : {small, large}) {
    for (const std::int64_t rank : {16, 13}) {
      LoraTrialLayers layers;
      layers.shape = shape;
      layers.dtype = at::kBFloat16;
      layers.device = device;
      layers.peft.rank = rank;
      layers.peft.target_modules = {"all"};
      const LoraTrial trial = try_lora_forms(layers, {2, 4096});
      EXPECT_LT(trial.difference, 0.03) << shape.hidden_size << ", rank " << rank;
      RecordProperty(fmt::format("extended_of_plain_{}_{}", shape.hidden_size, rank),
                     fmt::format("{:.3f}", trial.extended_seconds / trial.plain_seconds));
    }
  }
}

}  // namespace
}  // namespace weft::trainer
