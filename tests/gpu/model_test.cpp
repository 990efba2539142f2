// Whole passes on a GPU against transformers' numbers and against the CPU.

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <vector>

#include "adapters/lora.h"
#include "kernels/device_properties.h"
#include "kernels/recorded_work.h"
#include "tests/model/fixture.h"
#include "trainer/device.h"
#include "trainer/optimizer.h"

namespace weft {
namespace {

using test::relative_error;

class GpuModel : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!trainer::resolve_device("auto").is_cuda()) {
      GTEST_SKIP() << "there is no GPU that LibTorch can use";
    }
  }

  std::map<std::string, at::Tensor> expected_ =
      test::read_tensors(test::fixture_folder() / "model" / GetParam() / "expected.safetensors");
};

struct Outcome {
  std::vector<double> losses;
  at::Tensor values;  // the adapters after the last step
};

struct Form {
  bool recompute = false;
  bool fp8 = false;
  bool graphs = false;
  double dropout = 0.1;
  bool extended = false;  // base and adapters in one product
};

Outcome train(const std::string& name, const std::map<std::string, at::Tensor>& expected,
              at::ScalarType dtype, c10::Device device, const Form& form = {}) {
  adapters::PeftConfig peft;
  peft.rank = 8;
  peft.alpha = 16;
  peft.dropout = form.dropout;
  peft.target_modules = {"all"};
  adapters::LoraAdapters adapters(test::model_config(name), peft, dtype, device);
  adapters.initialise(3);
  model::Qwen3Model model =
      test::load_model(name, dtype, device, form.fp8,
                       form.extended ? adapters.spare() : std::vector<model::LayerSpare>());
  if (form.extended) {
    adapters.place_in(model.weights());
  }
  model.set_adapters(adapters.layers());
  model.set_recompute(form.recompute);
  if (form.graphs) {
    model.set_recorder(kernels::make_work_recorder(device));
  }
  trainer::AdamWOptimizer optimizer(adapters.parameters(), {0.0, 0.9, 0.999, 1e-8, 0.01});
  const auto batch = test::fixture_batch(expected, model.config().vocab_size, device);
  Outcome outcome;
  for (std::uint64_t step = 0; step < 5; ++step) {
    if (step == 3) {
      model.set_recompute(form.recompute);  // what was recorded is forgotten, and recorded again
    }
    optimizer.zero_gradients();
    const at::Tensor log_probs =
        model.forward_backward(batch, 1.0 / static_cast<double>(batch.target_count()),
                               {.dropout_seed = 7, .micro_batch = step});
    outcome.losses.push_back(-log_probs.mean().item<double>());
    optimizer.step_through(1e-2, {optimizer.squared_gradient_norm(), 1.0});
    optimizer.count_step();
    adapters.refresh();
  }
  EXPECT_EQ(model.replayed_passes(), form.graphs ? 3 : 0);  // all but the first two of a kind
  outcome.values = adapters.parameters().values().cpu();
  return outcome;
}

TEST_P(GpuModel, LogitsEqualTransformersInFp32) {
  model::Qwen3Model model = test::load_model(GetParam(), at::kFloat, at::kCUDA);
  const auto batch = test::fixture_batch(expected_, model.config().vocab_size, at::kCUDA);
  EXPECT_LT(relative_error(test::all_logits(model, batch), expected_.at("logits")), 1e-5);
}

TEST_P(GpuModel, LogitsInBf16ErrAtMostTwiceAsMuchAsTransformers) {
  model::Qwen3Model model = test::load_model(GetParam(), at::kBFloat16, at::kCUDA);
  const auto batch = test::fixture_batch(expected_, model.config().vocab_size, at::kCUDA);
  const at::Tensor& truth = expected_.at("logits_bf16_true");
  const double theirs = relative_error(expected_.at("logits_bf16"), truth);
  EXPECT_LT(relative_error(test::all_logits(model, batch), truth), 2 * theirs);
}

TEST_P(GpuModel, TrainsAsTheCpuDoesInFp32) {
  const Outcome cpu = train(GetParam(), expected_, at::kFloat, at::kCPU);
  const Outcome gpu = train(GetParam(), expected_, at::kFloat, at::kCUDA);
  for (std::size_t i = 0; i < cpu.losses.size(); ++i) {
    EXPECT_NEAR(gpu.losses[i], cpu.losses[i], 1e-4 * cpu.losses[i]) << "step " << i;
  }
  EXPECT_LT(relative_error(gpu.values, cpu.values), 1e-3);
}

TEST_P(GpuModel, TrainsInBf16AsInFp32) {
  const Outcome cpu = train(GetParam(), expected_, at::kFloat, at::kCPU);
  const Outcome gpu = train(GetParam(), expected_, at::kBFloat16, at::kCUDA);
  for (std::size_t i = 0; i < cpu.losses.size(); ++i) {
    EXPECT_NEAR(gpu.losses[i], cpu.losses[i], 0.01 * cpu.losses[i]) << "step " << i;
  }
}

// The same 8-bit numbers on both; sums and roundings to bf16 in another order move few of them.
TEST_P(GpuModel, TrainsOnABaseOf8BitFloatsAsTheCpuDoes) {
  const auto config = test::load_model(GetParam(), at::kFloat).config();
  const std::string reason =
      trainer::why_no_fp8(kernels::compute_capability({at::kCUDA, 0}), at::kBFloat16, config);
  if (!reason.empty()) {
    GTEST_SKIP() << reason;
  }
  const Outcome cpu = train(GetParam(), expected_, at::kBFloat16, at::kCPU, {.fp8 = true});
  const Outcome gpu = train(GetParam(), expected_, at::kBFloat16, at::kCUDA, {.fp8 = true});
  for (std::size_t i = 0; i < cpu.losses.size(); ++i) {
    EXPECT_NEAR(gpu.losses[i], cpu.losses[i], 0.02 * cpu.losses[i]) << "step " << i;
  }
}

TEST_P(GpuModel, EqualRunsGiveEqualBits) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Outcome once = train(GetParam(), expected_, dtype, at::kCUDA);
    const Outcome again = train(GetParam(), expected_, dtype, at::kCUDA);
    const Outcome recomputed = train(GetParam(), expected_, dtype, at::kCUDA, {.recompute = true});
    EXPECT_TRUE(once.values.equal(again.values));
    EXPECT_TRUE(once.values.equal(recomputed.values)) << "gradient checkpointing changed a bit";
  }
}

TEST_P(GpuModel, PassesLaunchedFromARecordingGiveTheSameBits) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const bool recompute : {false, true}) {
      const Outcome plain =
          train(GetParam(), expected_, dtype, at::kCUDA, {.recompute = recompute, .dropout = 0});
      const Outcome recorded = train(GetParam(), expected_, dtype, at::kCUDA,
                                     {.recompute = recompute, .graphs = true, .dropout = 0});
      EXPECT_EQ(plain.losses, recorded.losses);
      EXPECT_TRUE(plain.values.equal(recorded.values));
    }
  }
}

TEST_P(GpuModel, TrainsInTheExtendedFormAsInThePlainOne) {
  const Form plain{.dropout = 0.0};
  const Form extended{.dropout = 0.0, .extended = true};
  const Outcome cpu = train(GetParam(), expected_, at::kFloat, at::kCPU, plain);
  const Outcome fp32 = train(GetParam(), expected_, at::kFloat, at::kCUDA, extended);
  const Outcome bf16 = train(GetParam(), expected_, at::kBFloat16, at::kCUDA, extended);
  for (std::size_t i = 0; i < cpu.losses.size(); ++i) {
    EXPECT_NEAR(fp32.losses[i], cpu.losses[i], 1e-4 * cpu.losses[i]) << "step " << i;
    EXPECT_NEAR(bf16.losses[i], cpu.losses[i], 0.01 * cpu.losses[i]) << "step " << i;
  }
  EXPECT_LT(relative_error(fp32.values, cpu.values), 1e-3);
  const Outcome again = train(GetParam(), expected_, at::kBFloat16, at::kCUDA, extended);
  EXPECT_TRUE(bf16.values.equal(again.values));
  const Outcome recorded = train(GetParam(), expected_, at::kBFloat16, at::kCUDA,
                                 {.graphs = true, .dropout = 0.0, .extended = true});
  EXPECT_TRUE(bf16.values.equal(recorded.values));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GpuModel, ::testing::ValuesIn(test::model_fixtures()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace weft
