// What a step logs of its work against the formulas that peers report.

#include <gtest/gtest.h>

#include <algorithm>
#include <string_view>

#include "adapters/lora.h"
#include "kernels/work_log.h"
#include "model/flops.h"
#include "tests/model/fixture.h"

namespace weft {
namespace {

class StepWork : public ::testing::TestWithParam<std::string> {};

constexpr std::int64_t kRank = 4;

struct Pass {
  model::Qwen3Config config;
  model::PackedBatch batch;
  std::int64_t adapter_parameters;
  std::vector<kernels::Work> work;
};

// A training pass of a fixture with adapters on everything.
Pass pass_of(const std::string& name, bool extended) {
  const model::Qwen3Config config = test::model_config(name);
  adapters::PeftConfig peft;
  peft.rank = kRank;
  peft.alpha = kRank;
  peft.target_modules = {"all"};
  adapters::LoraAdapters adapters(config, peft, at::kFloat, at::kCPU);
  adapters.initialise(1);
  model::Qwen3Model model =
      test::load_model(name, at::kFloat, at::kCPU, /*fp8=*/false,
                       extended ? adapters.spare() : std::vector<model::LayerSpare>());
  if (extended) {
    adapters.place_in(model.weights());
  }
  model.set_adapters(adapters.layers());
  const auto batch = test::fixture_batch(
      test::read_tensors(test::fixture_folder() / "model" / name / "expected.safetensors"),
      config.vocab_size);
  const kernels::WorkLog log;
  (void)model.forward_backward(batch, 1.0, {});
  return {config, batch, adapters.parameters().count(), log.entries()};
}

TEST_P(StepWork, HasTheFlopsOfTheFormula) {
  const auto [config, batch, adapter_parameters, work] = pass_of(GetParam(), /*extended=*/false);
  double flops = 0;
  for (const kernels::Work& entry : work) {
    flops += entry.flops;
  }
  const double formula = model::training_flops(
      config, {batch.size(), batch.target_count(), batch.cu_seqlens, adapter_parameters,
               /*weights_trained=*/false});
  // The formula has a gradient for the input of the first layer, which nothing needs.
  const auto columns = static_cast<double>(
      (config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim + 3 * kRank);
  const double unneeded = 2.0 * static_cast<double>(batch.size() * config.hidden_size) * columns;
  EXPECT_DOUBLE_EQ(flops, formula - unneeded);
}

// The extended form has one product where the plain one has those of each adapter and one more to
// add them. Forward 8 for 15 in a layer. Backward 19 for 26, less the first layer's input, which
// nothing needs: one for two.
TEST_P(StepWork, InTheExtendedFormHasFewerProducts) {
  const auto products = [](const Pass& pass) {
    return std::count_if(pass.work.begin(), pass.work.end(), [](const kernels::Work& work) {
      return std::string_view(work.name).starts_with("product");
    });
  };
  const Pass plain = pass_of(GetParam(), /*extended=*/false);
  EXPECT_EQ(products(plain) - products(pass_of(GetParam(), /*extended=*/true)),
            14 * plain.config.num_hidden_layers - 1);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, StepWork, ::testing::ValuesIn(test::model_fixtures()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace weft
