// Adapters against what PEFT computed for the tiny models (tests/oracle/lora_fixtures.py).

#include "adapters/lora.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <gtest/gtest.h>

#include <cmath>

#include "adapters/peft_files.h"
#include "base/error.h"
#include "tests/model/fixture.h"

namespace weft {
namespace {

using test::relative_error;

fs::path lora_folder(const std::string& name) { return test::fixture_folder() / "lora" / name; }

// The folders that hold an adapter with PEFT's numbers, named as the model they belong to.
std::vector<std::string> lora_cases() {
  std::vector<std::string> cases;
  for (const std::string& name : posix_file_system().list(test::fixture_folder() / "lora")) {
    if (posix_file_system().exists(lora_folder(name) / "expected.safetensors")) {
      cases.push_back(name);
    }
  }
  return cases;
}

// Of a model, and whether base and adapters are one product.
class LoraTest : public ::testing::TestWithParam<std::tuple<std::string, bool>> {};

TEST_P(LoraTest, LossAndGradientsOfEveryMatrixEqualPeft) {
  const auto& [name, extended] = GetParam();
  const auto expected = test::read_tensors(lora_folder(name) / "expected.safetensors");
  const auto input =
      test::read_tensors(test::fixture_folder() / "model" / name / "expected.safetensors");
  auto adapters = adapters::read_peft_adapter(posix_file_system(), lora_folder(name),
                                              test::model_config(name), at::kFloat, at::kCPU);
  model::Qwen3Model model =
      test::load_model(name, at::kFloat, at::kCPU, /*fp8=*/false,
                       extended ? adapters.spare() : std::vector<model::LayerSpare>());
  if (extended) {
    adapters.place_in(model.weights());
  }
  model.set_adapters(adapters.layers());
  const auto batch = test::fixture_batch(input, model.config().vocab_size);
  EXPECT_LT(relative_error(test::all_logits(model, batch), expected.at("logits")), 1e-5);
  const at::Tensor log_probs = model.forward_backward(batch, 1.0, {});
  EXPECT_LT(relative_error(-log_probs.sum(), expected.at("loss").squeeze()), 1e-5);

  // The gradient buffer has the layout of the values, so the same views serve for it.
  adapters.parameters().values().copy_(adapters.parameters().gradients());
  std::size_t compared = 0;
  for (const auto& matrix : adapters.matrices()) {
    EXPECT_LT(relative_error(matrix.view, expected.at("grad." + matrix.name)), 1e-4) << matrix.name;
    ++compared;
  }
  EXPECT_EQ(compared, 2 * adapters.modules().size());
  EXPECT_GT(compared, 0U);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, LoraTest,
                         ::testing::Combine(::testing::ValuesIn(lora_cases()), ::testing::Bool()),
                         [](const auto& info) {
                           return std::get<0>(info.param) +
                                  (std::get<1>(info.param) ? "_extended" : "");
                         });

adapters::PeftConfig all_targets(std::int64_t rank) {
  adapters::PeftConfig peft;
  peft.rank = rank;
  peft.alpha = static_cast<double>(rank);
  peft.target_modules = {"all"};
  return peft;
}

TEST(LoraAdapters, StartAsTheBaseWithBoundedRandomA) {
  model::Qwen3Model model = test::load_model("tied_gqa1", at::kFloat);
  adapters::LoraAdapters adapters(model.config(), all_targets(5), at::kFloat, at::kCPU);
  adapters.initialise(7);
  for (const auto& matrix : adapters.matrices()) {
    const double largest = matrix.view.abs().max().item<double>();
    if (matrix.name.ends_with("lora_B.weight")) {
      EXPECT_EQ(largest, 0.0) << matrix.name;
    } else {
      const double bound = 1.0 / std::sqrt(static_cast<double>(matrix.view.size(1)));
      EXPECT_LE(largest, bound) << matrix.name;
      EXPECT_GT(largest, bound / 2) << matrix.name;
    }
  }
  const auto input =
      test::read_tensors(test::fixture_folder() / "model/tied_gqa1/expected.safetensors");
  const auto batch = test::fixture_batch(input, model.config().vocab_size);
  const at::Tensor base = test::all_logits(model, batch).clone();
  model.set_adapters(adapters.layers());
  EXPECT_TRUE(test::all_logits(model, batch).equal(base));
}

TEST(LoraAdapters, EqualSeedsGiveEqualMatricesAndAddingATargetChangesNoOther) {
  const model::Qwen3Config config = test::load_model("tied_gqa1", at::kFloat).config();
  adapters::LoraAdapters all(config, all_targets(4), at::kFloat, at::kCPU);
  adapters::PeftConfig few = all_targets(4);
  few.target_modules = {"v_proj", "down_proj"};
  adapters::LoraAdapters some(config, few, at::kFloat, at::kCPU);
  all.initialise(3);
  some.initialise(3);
  std::map<std::string, at::Tensor> by_name;
  for (const auto& matrix : all.matrices()) {
    by_name[matrix.name] = matrix.view;
  }
  for (const auto& matrix : some.matrices()) {
    EXPECT_TRUE(matrix.view.equal(by_name.at(matrix.name))) << matrix.name;
  }
  some.initialise(4);
  EXPECT_FALSE(some.matrices()[0].view.equal(by_name.at(some.matrices()[0].name)));
}

TEST(LoraAdapters, DropoutGradientEqualsFiniteDifferences) {
  const auto input =
      test::read_tensors(test::fixture_folder() / "model/one_layer/expected.safetensors");
  model::Qwen3Model model = test::load_model("one_layer", at::kDouble);
  adapters::PeftConfig peft = all_targets(3);
  peft.dropout = 0.4;
  adapters::LoraAdapters adapters(model.config(), peft, at::kDouble, at::kCPU);
  adapters.initialise(1);
  const at::Tensor& values = adapters.parameters().values();
  values.add_(
      at::empty_like(values).uniform_(-0.1, 0.1));  // B must not be zero, or A has no gradient
  model.set_adapters(adapters.layers());
  const auto batch = test::fixture_batch(input, model.config().vocab_size);
  const model::Qwen3Model::StepKey key{11, 5};
  const auto loss = [&] { return -model.forward_backward(batch, 1.0, key).sum().item<double>(); };
  adapters.parameters().gradients().zero_();
  (void)loss();
  const at::Tensor gradient = adapters.parameters().gradients().clone();
  const std::int64_t step = values.numel() / 25;
  for (std::int64_t i = 0; i < values.numel(); i += step) {
    constexpr double kDelta = 1e-5;
    const at::Tensor one = values.narrow(0, i, 1);
    one.add_(kDelta);
    const double up = loss();
    one.sub_(2 * kDelta);
    const double down = loss();
    one.add_(kDelta);
    const double expected = (up - down) / (2 * kDelta);
    EXPECT_NEAR(gradient[i].item<double>(), expected, 1e-4 + 1e-4 * std::abs(expected))
        << "element " << i;
  }
}

TEST(LoraTargets, AnUnknownNameIsAnsweredWithTheNearest) {
  try {
    (void)adapters::parse_targets({"q_proj", "gate_porj"});
    FAIL() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_NE(std::string(error.what()).find("did you mean gate_proj?"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace weft
