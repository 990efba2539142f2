// The kernels that work on rows, at widths of real Qwen3 models: as precise as plain ATen, every
// element moved once, nothing left unwritten.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include "kernels/cross_entropy.h"
#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"
#include "tests/simt/device.h"
#include "tests/simt/traffic.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using simt::Device;
using simt::read_once;
using simt::read_times;
using simt::written_once;
using simt::written_times;
using test::as_precise_as;
using test::filled;
using test::poisoned;
using test::random_normal;

constexpr double kEps = 1e-6;
constexpr int kRows = 3;

test::Tensors norm(const test::Tensors& in) {
  const at::Tensor x = in[0] + in[1];
  return {x, x * (x.square().mean(-1, true) + kEps).rsqrt() * in[2]};
}

TEST(RowTraffic, RmsNormMovesEveryElementOnce) {
  simt::for_each_kernel_dtype([](at::ScalarType dtype) {
    for (const std::int64_t width : {1024, 2560, 4096, 5120}) {
      SCOPED_TRACE(width);
      const at::Tensor x = random_normal({kRows, width}, dtype, 1);
      const at::Tensor delta = random_normal({kRows, width}, dtype, 2);
      const at::Tensor weight = random_normal({width}, dtype, 3, 0.2).add_(1.0);
      const at::Tensor dy = random_normal({kRows, width}, dtype, 4);
      const at::Tensor dstream = random_normal({kRows, width}, dtype, 5);
      const auto [plain, exact] = test::evaluate(norm, {x, delta, weight}, {dstream, dy});

      const at::Tensor y = poisoned({kRows, width}, dtype);
      const at::Tensor rstd = poisoned({kRows}, at::kFloat);
      add_rms_norm_forward(x, delta, weight, kEps, y, rstd);
      EXPECT_TRUE(as_precise_as(x, plain.outputs[0], exact.outputs[0]));
      EXPECT_TRUE(as_precise_as(y, plain.outputs[1], exact.outputs[1]));
      EXPECT_TRUE(read_once("x", x) && written_once("x", x) && read_once("delta", delta));
      EXPECT_TRUE(written_once("y", y));
      EXPECT_TRUE(read_times(kRows, "weight", weight));  // from the cache but for the first time
      EXPECT_EQ(Device::current().writes("rstd").bytes, kRows * 4);
      EXPECT_NO_THROW(Device::current().check_written());

      const at::Tensor dx = dstream.clone();
      rms_norm_backward(dy, y, {}, weight, rstd, dx);
      EXPECT_TRUE(as_precise_as(dx, plain.gradients[0], exact.gradients[0]));
      EXPECT_TRUE(read_once("dy", dy) && read_once("output", y));
      EXPECT_TRUE(read_once("dx", dx) && written_once("dx", dx));

      const at::Tensor dweight = filled({width}, at::kFloat, 0.0);
      rms_norm_backward(dy, y, {}, weight, rstd, dstream, dweight);
      EXPECT_TRUE(test::same_bits(dstream, dx));
      EXPECT_TRUE(as_precise_as(dweight, plain.gradients[2], exact.gradients[2]));
      EXPECT_TRUE(read_once("dy", dy) && read_once("output", y));
      EXPECT_EQ(Device::current().reads("partials").bytes, kRows * width * 4);
      EXPECT_NO_THROW(Device::current().check_written());
    }
  });
}

TEST(RowTraffic, RmsNormReadsNothingThatItDoesNotNeed) {
  const at::Tensor x = random_normal({kRows, 1024}, at::kBFloat16, 1);
  const at::Tensor y = poisoned(x.sizes(), at::kBFloat16);
  const at::Tensor normalized = poisoned(x.sizes(), at::kBFloat16);
  add_rms_norm_forward(x, {}, filled({1024}, at::kBFloat16, 1.0), kEps, y,
                       poisoned({kRows}, at::kFloat), normalized);
  EXPECT_TRUE(read_once("x", x) && written_times(0, "x", x));
  EXPECT_TRUE(written_once("y", y) && written_once("normalized", normalized));
  EXPECT_TRUE(test::same_bits(y, normalized));
}

// Wider than the kernel takes: the composition has it.
TEST(RowTraffic, AWidthThatTheNormKernelDoesNotTakeIsComputedAllTheSame) {
  const at::Tensor x = random_normal({1, 8193}, at::kFloat, 1);
  const at::Tensor y = poisoned(x.sizes(), at::kFloat);
  add_rms_norm_forward(x, {}, filled({8193}, at::kFloat, 1.0), kEps, y, poisoned({1}, at::kFloat));
  EXPECT_TRUE(read_times(0, "x", x));
  const at::Tensor wide = x.to(at::kDouble);
  EXPECT_TRUE(test::near(y, wide * (wide.square().mean(-1, true) + kEps).rsqrt(), 1e-5));
}

test::Tensors gated(const test::Tensors& in) {
  const auto halves = in[0].chunk(2, 1);
  return {at::silu(halves[0]) * halves[1]};
}

TEST(RowTraffic, SwiGluMovesEveryElementOnce) {
  simt::for_each_kernel_dtype([](at::ScalarType dtype) {
    for (const std::int64_t width : {768, 3072, 9728, 25600}) {
      SCOPED_TRACE(width);
      const at::Tensor gate_up = random_normal({2, 2 * width}, dtype, 1, 3.0);
      const at::Tensor dout = random_normal({2, width}, dtype, 2);
      const auto [plain, exact] = test::evaluate(gated, {gate_up}, {dout});
      const at::Tensor out = poisoned({2, width}, dtype);
      swiglu_forward(gate_up, out);
      EXPECT_TRUE(as_precise_as(out, plain.outputs[0], exact.outputs[0]));
      EXPECT_TRUE(read_once("gate_up", gate_up) && written_once("out", out));
      EXPECT_NO_THROW(Device::current().check_written());
      swiglu_backward(gate_up, dout);
      EXPECT_TRUE(as_precise_as(gate_up, plain.gradients[0], exact.gradients[0]));
      EXPECT_TRUE(test::same_bits(dout, out) ||
                  as_precise_as(dout, plain.outputs[0], exact.outputs[0]));
      EXPECT_TRUE(read_once("gate_up", gate_up) && written_once("gate_up", gate_up));
      EXPECT_TRUE(read_once("dout", dout) && written_once("dout", dout));
    }
  });
}

// As an adapter of rank 16 or 48 widens them in the extended form.
TEST(RowTraffic, RowsInWiderOnesMoveNoMore) {
  simt::for_each_kernel_dtype([](at::ScalarType dtype) {
    const at::Tensor x = random_normal({kRows, 1024}, dtype, 1);
    const at::Tensor weight = random_normal({1024}, dtype, 2, 0.2).add_(1.0);
    const at::Tensor y = test::padded(poisoned(x.sizes(), dtype), 48);
    const at::Tensor rstd = poisoned({kRows}, at::kFloat);
    add_rms_norm_forward(x, {}, weight, kEps, y, rstd);
    EXPECT_TRUE(written_once("y", y) && test::left_alone_behind(y));
    EXPECT_NO_THROW(Device::current().check_written());
    const at::Tensor dx = test::padded(x, 16);
    rms_norm_backward(x, y, {}, weight, rstd, dx);
    EXPECT_TRUE(read_once("output", y) && read_once("dx", dx) && written_once("dx", dx));
    EXPECT_TRUE(test::left_alone_behind(dx));

    const at::Tensor gate_up = test::padded(random_normal({kRows, 6144}, dtype, 3), 32);
    const at::Tensor out = test::padded(poisoned({kRows, 3072}, dtype), 16);
    swiglu_forward(gate_up, out);
    EXPECT_TRUE(read_once("gate_up", gate_up) && written_once("out", out));
    EXPECT_NO_THROW(Device::current().check_written());
    swiglu_backward(gate_up, out);
    EXPECT_TRUE(read_once("gate_up", gate_up) && written_once("gate_up", gate_up));
    EXPECT_TRUE(read_once("dout", out) && written_once("dout", out));
    EXPECT_TRUE(test::left_alone_behind(gate_up) && test::left_alone_behind(out));
  });
}

TEST(RowTraffic, CrossEntropyReadsTheLogitsOnceAndOnceMoreForTheGradient) {
  simt::for_each_kernel_dtype([](at::ScalarType dtype) {
    constexpr std::int64_t kVocabulary = 151936;
    const at::Tensor logits = random_normal({2, kVocabulary}, dtype, 1, 4.0);
    const at::Tensor targets = at::arange(2, at::TensorOptions(at::kLong)) * (kVocabulary - 1);
    const auto composition = [&](const test::Tensors& in) {
      return test::Tensors{at::log_softmax(in[0], -1).gather(1, targets.unsqueeze(1)).squeeze(1)};
    };
    const auto [plain, exact] =
        test::evaluate(composition, {logits}, {filled({2}, at::kDouble, -0.25)});
    const at::Tensor log_probs = poisoned({2}, at::kFloat);
    const auto element = static_cast<std::int64_t>(logits.element_size());
    const auto bytes = static_cast<std::int64_t>(logits.nbytes());

    target_log_probs(logits, targets, log_probs);
    EXPECT_TRUE(as_precise_as(log_probs, plain.outputs[0], exact.outputs[0]));
    EXPECT_EQ(Device::current().reads("logits").bytes, bytes + 2 * element);
    EXPECT_EQ(Device::current().reads("logits").sectors, bytes / 32 + 2);
    EXPECT_TRUE(written_times(0, "logits", logits));
    EXPECT_NO_THROW(Device::current().check_written());

    cross_entropy_forward_backward(logits, targets, 0.25, log_probs);
    EXPECT_TRUE(as_precise_as(logits, plain.gradients[0], exact.gradients[0]));
    EXPECT_EQ(Device::current().reads("logits").bytes, 2 * bytes + 2 * element);
    EXPECT_TRUE(written_once("logits", logits));
  });
}

// Half of what a gradient in fp32 and its copy in bf16 would write and read.
TEST(RowTraffic, CrossEntropyWritesANarrowGradientOnceAndNoLogits) {
  constexpr std::int64_t kVocabulary = 151936;
  const at::Tensor logits = random_normal({2, kVocabulary}, at::kFloat, 1, 4.0);
  const at::Tensor targets = at::arange(2, at::TensorOptions(at::kLong)) * (kVocabulary - 1);
  const at::Tensor gradient = poisoned({2, kVocabulary}, at::kBFloat16);
  const auto bytes = static_cast<std::int64_t>(logits.nbytes());
  cross_entropy_forward_backward(logits, targets, 0.25, poisoned({2}, at::kFloat), gradient);
  EXPECT_EQ(Device::current().reads("logits").bytes, 2 * bytes + 2 * 4);
  EXPECT_TRUE(written_times(0, "logits", logits));
  EXPECT_EQ(Device::current().writes("gradient").bytes, bytes / 2);
  EXPECT_EQ(Device::current().writes("gradient").sectors, bytes / 2 / 32);
  EXPECT_NO_THROW(Device::current().check_written());
}

}  // namespace
}  // namespace weft::kernels
