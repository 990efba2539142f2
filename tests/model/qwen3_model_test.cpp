// The transformer against what transformers computed for tiny models
// (tests/oracle/model_fixtures.py).

#include "model/qwen3_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "fixture.h"

namespace weft {
namespace {

using test::relative_error;

class Qwen3ModelTest : public ::testing::TestWithParam<std::string> {
 protected:
  std::map<std::string, at::Tensor> expected_ =
      test::read_tensors(test::fixture_folder() / "model" / GetParam() / "expected.safetensors");
};

model::Weights gradient_buffers(const model::Qwen3Config& config, at::ScalarType dtype) {
  return model::make_weights(config,
                             [&](const std::string&, const std::vector<std::int64_t>& shape, bool) {
                               return at::zeros(shape, at::TensorOptions(dtype));
                             });
}

TEST_P(Qwen3ModelTest, LogitsEqualTransformersInFp32) {
  model::Qwen3Model model = test::load_model(GetParam(), at::kFloat);
  const auto batch = test::fixture_batch(expected_, model.config().vocab_size);
  EXPECT_LT(relative_error(test::all_logits(model, batch), expected_.at("logits")), 1e-5);
}

TEST_P(Qwen3ModelTest, LogitsInBf16ErrAtMostTwiceAsMuchAsTransformers) {
  model::Qwen3Model model = test::load_model(GetParam(), at::kBFloat16);
  const auto batch = test::fixture_batch(expected_, model.config().vocab_size);
  const at::Tensor& truth = expected_.at("logits_bf16_true");
  const double theirs = relative_error(expected_.at("logits_bf16"), truth);
  EXPECT_LT(relative_error(test::all_logits(model, batch), truth), 2 * theirs);
}

TEST_P(Qwen3ModelTest, LossAndGradientsOfAllWeightsEqualAutograd) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    model::Qwen3Model model = test::load_model(GetParam(), dtype);
    const auto batch = test::fixture_batch(expected_, model.config().vocab_size);
    const model::Weights gradients = gradient_buffers(model.config(), dtype);
    model.set_weight_gradients(gradients);
    const at::Tensor log_probs = model.forward_backward(batch, 1.0, {});
    EXPECT_LT(relative_error(-log_probs.sum(), expected_.at("loss").squeeze()), 1e-6);
    for (const auto& [name, gradient, is_norm, scales] :
         model::named_weights(gradients, model.config())) {
      EXPECT_LT(relative_error(gradient, expected_.at("grad." + name)), 2e-5) << name;
    }
  }
}

TEST_P(Qwen3ModelTest, RecomputingLayersChangesNoBit) {
  const auto run = [&](bool recompute) {
    model::Qwen3Model model = test::load_model(GetParam(), at::kFloat);
    const model::Weights gradients = gradient_buffers(model.config(), at::kFloat);
    model.set_weight_gradients(gradients);
    model.set_recompute(recompute);
    const auto batch = test::fixture_batch(expected_, model.config().vocab_size);
    std::vector<at::Tensor> all{model.forward_backward(batch, 1.0, {})};
    for (const auto& named : model::named_weights(gradients, model.config())) {
      all.push_back(named.view.flatten());
    }
    return at::cat(all);
  };
  EXPECT_TRUE(run(true).equal(run(false)));
}

TEST_P(Qwen3ModelTest, PackedDocumentsDoNotSeeEachOther) {
  model::Qwen3Model model = test::load_model(GetParam(), at::kFloat);
  const auto packed = test::fixture_batch(expected_, model.config().vocab_size);
  const at::Tensor together = test::all_logits(model, packed).clone();
  const auto* tokens = expected_.at("tokens").const_data_ptr<std::int32_t>();
  const auto* mask = expected_.at("mask").const_data_ptr<std::uint8_t>();
  for (std::size_t d = 0; d + 1 < packed.cu_seqlens.size(); ++d) {
    const std::int32_t first = packed.cu_seqlens[d];
    const std::int32_t length = packed.cu_seqlens[d + 1] - first;
    const auto count = static_cast<std::size_t>(length);
    const auto alone = model::make_packed_batch({tokens + first, count}, {mask + first, count},
                                                std::vector<std::int32_t>{0, length},
                                                model.config().vocab_size, at::kCPU);
    EXPECT_LT(relative_error(test::all_logits(model, alone), together.narrow(0, first, length)),
              1e-6);
  }
}

TEST_P(Qwen3ModelTest, DecodingWithACacheEqualsTheWholeSequence) {
  model::Qwen3Model model = test::load_model(GetParam(), at::kFloat);
  const auto batch = test::fixture_batch(expected_, model.config().vocab_size);
  const at::Tensor whole = test::all_logits(model, batch).clone();
  const std::int64_t length = batch.cu_seqlens[1];
  model::KvCache cache(model.config(), length, at::kFloat, at::kCPU);
  const std::int64_t prompt = std::max<std::int64_t>(length / 2, 1);
  at::Tensor logits = model.decode(cache, batch.tokens.narrow(0, 0, prompt));
  EXPECT_LT(relative_error(logits, whole[prompt - 1]), 1e-5);
  // A few at once, then one by one.
  std::int64_t at = prompt;
  if (at + 3 < length) {
    logits = model.decode(cache, batch.tokens.narrow(0, at, 3));
    at += 3;
    EXPECT_LT(relative_error(logits, whole[at - 1]), 1e-5);
  }
  for (; at < length; ++at) {
    logits = model.decode(cache, batch.tokens.narrow(0, at, 1));
    EXPECT_LT(relative_error(logits, whole[at]), 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Qwen3ModelTest, ::testing::ValuesIn(test::model_fixtures()),
                         [](const auto& info) { return info.param; });

TEST(Qwen3Model, ABatchWithoutTargetsChangesNothing) {
  model::Qwen3Model model = test::load_model("tied_gqa1", at::kFloat);
  const model::Weights gradients = gradient_buffers(model.config(), at::kFloat);
  model.set_weight_gradients(gradients);
  const auto batch = model::make_packed_batch(
      std::vector<std::int32_t>{1, 2, 3}, std::vector<std::uint8_t>{1, 0, 0},
      std::vector<std::int32_t>{0, 3}, model.config().vocab_size, at::kCPU);
  EXPECT_EQ(batch.target_count(), 0)
      << "the first token of a document has nothing to be predicted from";
  EXPECT_EQ(model.forward_backward(batch, 1.0, {}).numel(), 0);
  for (const auto& named : model::named_weights(gradients, model.config())) {
    EXPECT_EQ(named.view.abs().sum().item<float>(), 0.0f) << named.name;
  }
}

TEST(Qwen3Model, ANormWeightOfZeroKeepsGradientsExact) {
  // RMSNorm's backward divides by its weight unless it knows that it can't. Full fine-tuning keeps
  // all bare norms, so its dW of a matrix below is exact, and an adapter with B = 0 there has the
  // gradient scale * dW · Aᵀ for B.
  const auto expected =
      test::read_tensors(test::fixture_folder() / "model/tied_gqa1/expected.safetensors");
  model::Qwen3Model loaded = test::load_model("tied_gqa1", at::kFloat);
  loaded.weights().layers[1].input_norm.narrow(0, 3, 1).zero_();
  loaded.weights().layers[1].q_norm.narrow(0, 1, 1).zero_();
  loaded.weights().layers[1].post_norm.narrow(0, 0, 1).zero_();
  loaded.weights().final_norm.narrow(0, 5, 1).zero_();
  const auto batch = test::fixture_batch(expected, loaded.config().vocab_size);
  const at::Tensor& down = loaded.weights().layers[0].down;

  model::Qwen3Model full(loaded.config(), loaded.weights());
  const model::Weights gradients = gradient_buffers(loaded.config(), at::kFloat);
  full.set_weight_gradients(gradients);
  (void)full.forward_backward(batch, 1.0, {});

  model::Qwen3Model adapted(loaded.config(), loaded.weights());
  std::vector<model::LayerAdapters> adapters(loaded.weights().layers.size());
  kernels::LoraGroup& group = adapters[0].down;
  group.a = down.narrow(0, 0, 4).clone();
  group.grad_a = at::zeros(group.a.sizes());
  group.slices.push_back({0, at::zeros({down.size(0), 4}), at::zeros({down.size(0), 4}), 0.5});
  adapted.set_adapters(adapters);
  (void)adapted.forward_backward(batch, 1.0, {});

  const at::Tensor exact = gradients.layers[0].down.mm(group.a.t()) * 0.5;
  EXPECT_GT(exact.abs().max().item<float>(), 0.0f);
  EXPECT_LT(relative_error(adapters[0].down.slices[0].grad_b, exact), 1e-5);
}

TEST(PackedBatch, RefusesATokenOutsideTheVocabulary) {
  try {
    (void)model::make_packed_batch(std::vector<std::int32_t>{1, 300},
                                   std::vector<std::uint8_t>{0, 1}, std::vector<std::int32_t>{0, 2},
                                   257, at::kCPU);
    FAIL() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    EXPECT_NE(
        std::string(error.what()).find("token id 300 is outside the model's vocabulary of 257"),
        std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace weft
