// A base whose layers' matrices are 8-bit floats.

#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "kernels/fp8.h"
#include "model/checkpoint_reader.h"
#include "model/checkpoint_writer.h"
#include "model/weights.h"
#include "tests/model/fixture.h"
#include "tests/support/caught.h"
#include "tests/support/fp8_testing.h"
#include "tests/support/temp_folder.h"

namespace weft {
namespace {

using ::testing::HasSubstr;

class Fp8Weights : public ::testing::TestWithParam<std::string> {};

TEST_P(Fp8Weights, AreThoseOfTheCheckpointQuantizedRowByRow) {
  const model::Qwen3Model plain = test::load_model(GetParam(), at::kFloat);
  const model::Qwen3Model fp8 = test::load_model(GetParam(), at::kBFloat16, at::kCPU, true);
  const auto expected = model::named_weights(plain.weights(), plain.config());
  const auto actual = model::named_weights(fp8.weights(), fp8.config());
  ASSERT_EQ(actual.size(), expected.size());
  std::size_t quantized = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    SCOPED_TRACE(actual[i].name);
    if (!actual[i].scales.defined()) {
      EXPECT_TRUE(actual[i].view.equal(expected[i].view.to(at::kBFloat16)));
      continue;
    }
    ++quantized;
    const kernels::Fp8Rows wanted = test::quantized(expected[i].view.contiguous());
    EXPECT_TRUE(actual[i].view.view(at::kByte).equal(wanted.values.view(at::kByte)));
    EXPECT_TRUE(actual[i].scales.equal(wanted.scales));
  }
  EXPECT_EQ(quantized, 7 * fp8.weights().layers.size());
  EXPECT_EQ(fp8.dtype(), at::kBFloat16);
}

// Each of 32 to 64 terms of a product is off by up to a sixteenth, in either direction.
TEST_P(Fp8Weights, GiveLogitsNearThoseOfBf16) {
  const auto expected =
      test::read_tensors(test::fixture_folder() / "model" / GetParam() / "expected.safetensors");
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    model::Qwen3Model plain = test::load_model(GetParam(), dtype);
    model::Qwen3Model fp8 = test::load_model(GetParam(), dtype, at::kCPU, true);
    const auto batch = test::fixture_batch(expected, plain.config().vocab_size);
    const double error =
        test::relative_error(test::all_logits(fp8, batch), test::all_logits(plain, batch));
    EXPECT_LT(error, 0.2);
    EXPECT_GT(error, 1e-3) << "nothing was rounded to 8 bits";
  }
}

TEST_P(Fp8Weights, TakeAByteEachAndFourARow) {
  const model::Qwen3Model plain = test::load_model(GetParam(), at::kBFloat16);
  const model::Qwen3Model fp8 = test::load_model(GetParam(), at::kBFloat16, at::kCPU, true);
  EXPECT_EQ(model::weight_bytes(plain.weights()), 2 * plain.config().parameter_count());
  std::int64_t saved = 0;
  for (const auto& named : model::named_weights(fp8.weights(), fp8.config())) {
    saved += named.scales.defined() ? named.view.numel() - 4 * named.view.size(0) : 0;
  }
  EXPECT_EQ(model::weight_bytes(fp8.weights()), model::weight_bytes(plain.weights()) - saved);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Fp8Weights, ::testing::ValuesIn(test::model_fixtures()),
                         [](const auto& info) { return info.param; });

TEST(Fp8WeightsOfADamagedCheckpoint, AreRefused) {
  const fs::path original = test::fixture_folder() / "model" / "one_layer";
  const test::TempFolder temp;
  fs::copy(original, temp / "model", fs::copy_options::recursive);
  const auto config = model::read_qwen3_config(posix_file_system(), temp / "model");
  const std::string bad = "model.layers.0.mlp.up_proj.weight";
  std::vector<model::TensorBytes> all;
  const auto tensors = test::read_tensors(original / "model.safetensors");
  for (const auto& [name, tensor] : tensors) {
    if (name == bad) {
      tensor[3][2] = std::numeric_limits<double>::infinity();
    }
    all.push_back(
        {{name,
          tensor.scalar_type() == at::kFloat ? model::DType::kFloat32 : model::DType::kBFloat16,
          tensor.sizes().vec()},
         {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  }
  fs::remove(temp / "model/model.safetensors");
  model::publish_safetensors(posix_file_system(), temp / "model/model.safetensors", all);
  const auto reader = model::CheckpointReader::open(posix_file_system(), temp / "model");
  const model::Weights weights = model::allocate_weights(config, at::kBFloat16, at::kCPU, true);
  const Error error = test::caught([&] { model::load_weights(reader, config, weights); });
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr(fmt::format("{} has a value that is not finite at element {}",
                                                  bad, 3 * config.hidden_size + 2)));
}

}  // namespace
}  // namespace weft
