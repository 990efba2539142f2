// What a step logs of its work against the formulas that peers report.

#include <gtest/gtest.h>

#include "adapters/lora.h"
#include "kernels/work_log.h"
#include "model/flops.h"
#include "tests/model/fixture.h"

namespace weft {
namespace {

class StepWork : public ::testing::TestWithParam<std::string> {};

TEST_P(StepWork, HasTheFlopsOfTheFormula) {
  model::Qwen3Model model = test::load_model(GetParam(), at::kFloat);
  const model::Qwen3Config& config = model.config();
  adapters::PeftConfig peft;
  peft.rank = 4;
  peft.alpha = 4;
  peft.target_modules = {"all"};
  adapters::LoraAdapters adapters(config, peft, at::kFloat, at::kCPU);
  adapters.initialise(1);
  model.set_adapters(adapters.layers());
  const auto batch = test::fixture_batch(
      test::read_tensors(test::fixture_folder() / "model" / GetParam() / "expected.safetensors"),
      config.vocab_size);

  const kernels::WorkLog log;
  (void)model.forward_backward(batch, 1.0, {});
  double flops = 0;
  for (const kernels::Work& work : log.entries()) {
    flops += work.flops;
  }
  const double formula = model::training_flops(
      config, {batch.size(), batch.target_count(), batch.cu_seqlens, adapters.parameters().count(),
               /*weights_trained=*/false});
  // The formula has a gradient for the input of the first layer, which nothing needs.
  const auto columns = static_cast<double>(
      (config.num_attention_heads + 2 * config.num_key_value_heads) * config.head_dim +
      3 * peft.rank);
  const double unneeded = 2.0 * static_cast<double>(batch.size() * config.hidden_size) * columns;
  EXPECT_DOUBLE_EQ(flops, formula - unneeded);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, StepWork, ::testing::ValuesIn(test::model_fixtures()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace weft
