// Adapters that lie beside the frozen matrices against the same in the plain form.

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>

#include "adapters/lora.h"
#include "base/error.h"
#include "kernels/work_log.h"
#include "model/kv_cache.h"
#include "tests/model/fixture.h"
#include "tests/support/caught.h"
#include "tests/support/tensor_testing.h"

namespace weft {
namespace {

using test::relative_error;
using ::testing::HasSubstr;

adapters::PeftConfig peft_on(std::vector<std::string> targets) {
  adapters::PeftConfig peft;
  peft.rank = 5;
  peft.alpha = 7;
  peft.target_modules = std::move(targets);
  return peft;
}

// A model of the fixtures with adapters whose B is not zero.
struct Adapted {
  adapters::LoraAdapters adapters;
  model::Qwen3Model model;

  Adapted(const std::string& name, const std::vector<std::string>& targets, at::ScalarType dtype,
          bool extended)
      : adapters(test::model_config(name), peft_on(targets), dtype, at::kCPU),
        model(test::load_model(name, dtype, at::kCPU, /*fp8=*/false,
                               extended ? adapters.spare() : std::vector<model::LayerSpare>())) {
    adapters.initialise(3);
    const at::Tensor& values = adapters.parameters().values();
    values.add_(test::random_normal(values.sizes(), values.scalar_type(), 1, 0.05));
    adapters.refresh();
    if (extended) {
      adapters.place_in(model.weights());
    }
    model.set_adapters(adapters.layers());
  }

  struct Outcome {
    at::Tensor log_probs, gradients;
  };
  Outcome pass(const model::PackedBatch& batch) {
    adapters.parameters().gradients().zero_();
    const at::Tensor log_probs = model.forward_backward(batch, 0.25, {});
    return {log_probs, adapters.parameters().gradients().clone()};
  }
};

const std::vector<std::vector<std::string>> kTargets{
    {"all"}, {"q_proj", "v_proj"}, {"gate_proj"}, {"o_proj"}, {"down_proj", "k_proj"}};

class ExtendedModel : public ::testing::TestWithParam<std::string> {
 protected:
  model::PackedBatch batch_ = test::fixture_batch(
      test::read_tensors(test::fixture_folder() / "model" / GetParam() / "expected.safetensors"),
      test::model_config(GetParam()).vocab_size);
};

TEST_P(ExtendedModel, HasTheLossesAndGradientsOfThePlainOne) {
  for (const auto& targets : kTargets) {
    for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 2e-5}, {at::kDouble, 1e-13}}) {
      SCOPED_TRACE(targets.front());
      const auto plain = Adapted(GetParam(), targets, dtype, false).pass(batch_);
      Adapted extended(GetParam(), targets, dtype, true);
      for (const bool recompute : {false, true}) {
        extended.model.set_recompute(recompute);
        const auto outcome = extended.pass(batch_);
        EXPECT_LT(relative_error(outcome.log_probs, plain.log_probs), tolerance);
        EXPECT_LT(relative_error(outcome.gradients, plain.gradients), tolerance);
      }
      const auto again = extended.pass(batch_);
      EXPECT_TRUE(again.gradients.equal(extended.pass(batch_).gradients));
    }
  }
}

// A sum that is rounded once is no worse than one that is rounded before the adapters' part too.
TEST_P(ExtendedModel, ErrsInBf16AsThePlainOne) {
  for (const auto& targets : kTargets) {
    SCOPED_TRACE(targets.front());
    const auto exact = Adapted(GetParam(), targets, at::kDouble, false).pass(batch_);
    const auto plain = Adapted(GetParam(), targets, at::kBFloat16, false).pass(batch_);
    const auto extended = Adapted(GetParam(), targets, at::kBFloat16, true).pass(batch_);
    EXPECT_LT(relative_error(extended.log_probs, exact.log_probs),
              2 * relative_error(plain.log_probs, exact.log_probs));
    EXPECT_LT(relative_error(extended.gradients, exact.gradients),
              2 * relative_error(plain.gradients, exact.gradients));
  }
}

TEST_P(ExtendedModel, GeneratesWhatThePlainOneDoes) {
  Adapted plain(GetParam(), {"all"}, at::kFloat, false);
  Adapted extended(GetParam(), {"all"}, at::kFloat, true);
  EXPECT_LT(relative_error(test::all_logits(extended.model, batch_),
                           test::all_logits(plain.model, batch_)),
            1e-5);
  const auto decode = [](Adapted& adapted) {
    const model::Qwen3Config& config = adapted.model.config();
    model::KvCache cache(config, 16, at::kFloat, at::kCPU);
    const auto ids = at::TensorOptions(at::kLong);
    (void)adapted.model.decode(cache, at::arange(5, ids));
    return adapted.model.decode(cache, at::arange(5, 6, ids));
  };
  EXPECT_LT(relative_error(decode(extended), decode(plain)), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, ExtendedModel, ::testing::ValuesIn(test::model_fixtures()),
                         [](const auto& info) { return info.param; });

// B times its scale is rounded once: 7/5 of a bf16 number is none.
TEST(ExtendedAdapters, LieBesideTheMatricesScaledAndRoundedOnce) {
  Adapted plain("untied_gqa2", {"q_proj", "v_proj", "up_proj"}, at::kBFloat16, false);
  Adapted adapted("untied_gqa2", {"q_proj", "v_proj", "up_proj"}, at::kBFloat16, true);
  adapted.adapters.parameters().values().mul_(1.5);
  adapted.adapters.refresh();
  const model::LayerWeights& layer = adapted.model.weights().layers[1];
  const model::LayerWeights& wanted = plain.model.weights().layers[1];
  EXPECT_TRUE(layer.qkv.equal(wanted.qkv) && layer.gate_up.equal(wanted.gate_up));
  EXPECT_FALSE(layer.o_extended.defined() || layer.down_extended.defined());

  std::map<std::string, at::Tensor> masters;
  for (const auto& matrix : adapted.adapters.matrices()) {
    masters[matrix.name] = matrix.view;
  }
  const auto master = [&](const std::string& name) {
    return masters.at("base_model.model.model.layers.1.self_attn." + name + ".weight");
  };
  const at::Tensor expected = at::zeros_like(layer.qkv_extended);
  const std::int64_t out = layer.qkv.size(0);
  const std::int64_t in = layer.qkv.size(1);
  ASSERT_EQ(expected.size(0), out + 16);  // 5 + 5 ranks in packs of 8
  ASSERT_EQ(expected.size(1), in + 16);
  expected.narrow(0, 0, out).narrow(1, 0, in).copy_(layer.qkv);
  expected.narrow(0, out, 5).narrow(1, 0, in).copy_(master("q_proj.lora_A"));
  expected.narrow(0, out + 5, 5).narrow(1, 0, in).copy_(master("v_proj.lora_A"));
  const at::Tensor q = master("q_proj.lora_B");
  const at::Tensor v = master("v_proj.lora_B");
  expected.narrow(0, 0, q.size(0)).narrow(1, in, 5).copy_(q * 1.4);
  expected.narrow(0, out - v.size(0), v.size(0)).narrow(1, in + 5, 5).copy_(v * 1.4);
  EXPECT_TRUE(layer.qkv_extended.equal(expected));
}

std::size_t launches_of_refresh(Adapted& adapted) {
  const kernels::WorkLog log;
  adapted.adapters.refresh();
  return log.entries().size();
}

// A of q and v and A of up, and three B; a layer of another rank has copies of its own.
TEST(ExtendedAdapters, ComeToTheirPlacesInAllLayersAtOnceWhereTheseAreAlike) {
  Adapted alike("untied_gqa2", {"q_proj", "v_proj", "up_proj"}, at::kFloat, true);
  ASSERT_GT(alike.model.config().num_hidden_layers, 1);
  EXPECT_EQ(launches_of_refresh(alike), 5U);

  adapters::PeftConfig peft = peft_on({"q_proj", "down_proj"});
  peft.rank_pattern = {{"layers.0.self_attn.q_proj", 9}};
  const auto refreshed = [&](bool extended) {
    adapters::LoraAdapters adapters(test::model_config("untied_gqa2"), peft, at::kFloat, at::kCPU);
    adapters.initialise(3);
    adapters.parameters().values().add_(
        test::random_normal(adapters.parameters().values().sizes(), at::kFloat, 1, 0.05));
    model::Qwen3Model model =
        test::load_model("untied_gqa2", at::kFloat, at::kCPU, /*fp8=*/false,
                         extended ? adapters.spare() : std::vector<model::LayerSpare>());
    adapters.refresh();
    if (extended) {
      adapters.place_in(model.weights());
    }
    model.set_adapters(adapters.layers());
    const auto input =
        test::read_tensors(test::fixture_folder() / "model/untied_gqa2/expected.safetensors");
    return test::all_logits(model, test::fixture_batch(input, model.config().vocab_size));
  };
  EXPECT_LT(relative_error(refreshed(true), refreshed(false)), 1e-5);
}

TEST(ExtendedAdapters, CountAsBytesOfTheWeights) {
  const Adapted plain("one_layer", {"down_proj"}, at::kFloat, false);
  const Adapted extended("one_layer", {"down_proj"}, at::kFloat, true);
  const model::Qwen3Config& config = plain.model.config();
  constexpr std::int64_t kSpare = 8;  // rank 5 in packs of 4
  EXPECT_EQ(
      model::weight_bytes(extended.model.weights()) - model::weight_bytes(plain.model.weights()),
      4 * kSpare * (config.hidden_size + config.intermediate_size + kSpare));
}

TEST(ExtendedAdapters, WithDropoutAreRefused) {
  Adapted adapted("one_layer", {"all"}, at::kFloat, true);
  adapted.adapters.peft().dropout = 0.1;
  const Error error = test::caught([&] { adapted.adapters.place_in(adapted.model.weights()); });
  EXPECT_EQ(error.kind(), ErrorKind::kConfig);
  EXPECT_THAT(error.what(),
              HasSubstr("lora_dropout: 0.1 has a mask for each; set lora_dropout: 0"));
}

}  // namespace
}  // namespace weft
