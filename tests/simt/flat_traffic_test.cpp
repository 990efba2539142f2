// Heads, tables and flat buffers at sizes of real Qwen3 models: every element moved once, nothing
// left unwritten.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/outer.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "kernels/adamw.h"
#include "kernels/dropout.h"
#include "kernels/embedding.h"
#include "kernels/qk_norm_rope.h"
#include "tests/simt/device.h"
#include "tests/simt/traffic.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using simt::Device;
using simt::read_once;
using simt::written_once;
using test::filled;
using test::poisoned;
using test::random_normal;

struct Turned {
  HeadLayout layout;
  at::Tensor qkv, q_weight, k_weight, cos, sin, positions;

  Turned(HeadLayout heads, at::ScalarType dtype, std::int64_t tokens)
      : layout(heads),
        qkv(random_normal({tokens, heads.row()}, dtype, 1)),
        q_weight(random_normal({heads.head_dim}, dtype, 2, 0.2).add_(1.0)),
        k_weight(random_normal({heads.head_dim}, dtype, 3, 0.2).add_(1.0)),
        positions(at::arange(tokens, at::TensorOptions(at::kInt))) {
    const at::Tensor rows = at::arange(tokens, at::TensorOptions(at::kFloat));
    const at::Tensor columns = at::arange(heads.head_dim / 2, at::TensorOptions(at::kFloat));
    const at::Tensor angles = at::outer(rows, (columns * -0.1).exp());
    cos = angles.cos();
    sin = angles.sin();
  }
};

TEST(FlatTraffic, QkNormRopeMovesQueriesAndKeysOnceAndValuesNotAtAll) {
  simt::for_each_kernel_dtype([](at::ScalarType dtype) {
    for (const HeadLayout layout : {HeadLayout{16, 8, 128}, {32, 8, 128}, {64, 8, 128}}) {
      constexpr std::int64_t kTokens = 3;
      Turned c(layout, dtype, kTokens);
      const at::Tensor rotated =
          c.qkv.narrow(1, 0, layout.rotated() * layout.head_dim).contiguous();
      const at::Tensor rstd = poisoned({kTokens, layout.rotated()}, at::kFloat);
      qk_norm_rope_forward(c.qkv, layout, c.q_weight, c.k_weight, 1e-6, c.cos, c.sin, c.positions,
                           rstd);
      EXPECT_TRUE(read_once("qkv", rotated) && written_once("qkv", rotated));
      EXPECT_EQ(Device::current().writes("rstd").bytes, static_cast<std::int64_t>(rstd.nbytes()));
      EXPECT_NO_THROW(Device::current().check_written());

      const at::Tensor dqkv = random_normal(c.qkv.sizes(), dtype, 4);
      const at::Tensor again = dqkv.clone();
      qk_norm_rope_backward(dqkv, c.qkv, {}, layout, c.q_weight, c.k_weight, c.cos, c.sin,
                            c.positions, rstd);
      EXPECT_TRUE(read_once("qkv", rotated) && read_once("dqkv", rotated));
      EXPECT_TRUE(written_once("dqkv", rotated));
      const at::Tensor dweight = filled({layout.head_dim}, at::kFloat, 0.0);
      qk_norm_rope_backward(again, c.qkv, {}, layout, c.q_weight, c.k_weight, c.cos, c.sin,
                            c.positions, rstd, dweight, dweight.clone());
      EXPECT_TRUE(test::same_bits(again, dqkv));
      EXPECT_TRUE(read_once("qkv", rotated) && written_once("dqkv", rotated));
      EXPECT_NO_THROW(Device::current().check_written());

      const at::Tensor in_wider_rows = test::padded(random_normal(c.qkv.sizes(), dtype, 4), 48);
      qk_norm_rope_backward(in_wider_rows, c.qkv, {}, layout, c.q_weight, c.k_weight, c.cos, c.sin,
                            c.positions, rstd);
      EXPECT_TRUE(read_once("dqkv", rotated) && written_once("dqkv", rotated));
      EXPECT_TRUE(test::same_bits(in_wider_rows, dqkv) && test::left_alone_behind(in_wider_rows));
    }
  });
}

// fp32 rows are the other implementation's too: the CPU loops in fp64 have the last word.
TEST(FlatTraffic, QkNormRopeAtRealSizesIsThatOfFp64) {
  Turned c({32, 8, 128}, at::kFloat, 5);
  const at::Tensor wide = c.qkv.to(at::kDouble);
  const at::Tensor rstd = poisoned({5, 40}, at::kFloat);
  const auto exact = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
  qk_norm_rope_forward(c.qkv, c.layout, c.q_weight, c.k_weight, 1e-6, c.cos, c.sin, c.positions,
                       rstd);
  qk_norm_rope_forward(wide, c.layout, exact(c.q_weight), exact(c.k_weight), 1e-6, exact(c.cos),
                       exact(c.sin), c.positions, poisoned({5, 40}, at::kDouble));
  EXPECT_TRUE(test::near(c.qkv, wide, 1e-5));
}

TEST(FlatTraffic, EmbeddingReadsTheRowsOfItsTokensOnly) {
  simt::for_each_kernel_dtype([](at::ScalarType dtype) {
    constexpr std::int64_t kWidth = 2560;
    const at::Tensor table = random_normal({9, kWidth}, dtype, 1);
    const at::Tensor tokens = at::arange(4, at::TensorOptions(at::kLong)) * 2;
    const at::Tensor out = poisoned({4, kWidth}, dtype);
    embedding_forward(table, tokens, out);
    EXPECT_TRUE(read_once("table", out) && written_once("out", out));
    EXPECT_NO_THROW(Device::current().check_written());

    const at::Tensor repeated = (tokens / 4).to(at::kLong) * 8;  // 0, 0, 8, 8
    const at::Tensor gradient = filled({9, kWidth}, at::kFloat, 1.0);
    embedding_backward(out, repeated, gradient);
    EXPECT_TRUE(read_once("dout", out));
    const at::Tensor touched = gradient.narrow(0, 0, 2);
    EXPECT_EQ(Device::current().reads("grad_table").bytes, 2 * kWidth * 4);
    EXPECT_EQ(Device::current().writes("grad_table").bytes, 2 * kWidth * 4);
    if (dtype == at::kFloat) {  // eight sums a thread are two accesses, each of half a sector
      EXPECT_TRUE(read_once("grad_table", touched) && written_once("grad_table", touched));
    }
    const at::Tensor wide = out.to(at::kFloat);
    EXPECT_TRUE(test::same_bits(gradient[8], 1.0 + wide[2] + wide[3]));
    EXPECT_TRUE(test::same_bits(gradient[1], filled({kWidth}, at::kFloat, 1.0)));
  });
}

TEST(FlatTraffic, DropoutMovesEveryElementOnceAndGivesTheBitsOfTheCpu) {
  simt::for_each_kernel_dtype([](at::ScalarType dtype) {
    for (const std::int64_t count : {4096, 4099}) {
      SCOPED_TRACE(count);
      const at::Tensor x = random_normal({count}, dtype, 1);
      const at::Tensor out = poisoned({count}, dtype);
      dropout(x, 0.3, 11, 22, out);
      EXPECT_NO_THROW(Device::current().check_written());
      const auto bytes = static_cast<std::int64_t>(x.nbytes());
      EXPECT_EQ(Device::current().reads("x").bytes, bytes);
      EXPECT_EQ(Device::current().writes("out").bytes, bytes);
      if (count == 4096) {
        EXPECT_TRUE(read_once("x", x) && written_once("out", out));
      }
      const at::Tensor factors = poisoned({count}, at::kFloat);
      for (std::int64_t i = 0; i < count; ++i) {
        const auto words = philox4x32(11, static_cast<std::uint64_t>(i / 4), 22);
        const bool dropped = words[static_cast<std::size_t>(i % 4)] < 0.3 * 4294967296.0;
        factors.mutable_data_ptr<float>()[i] = dropped ? 0.0f : static_cast<float>(1.0 / 0.7);
      }
      EXPECT_TRUE(test::same_bits(out, (x * factors).to(dtype)));
      const at::Tensor sum = random_normal({count}, dtype, 2);
      const at::Tensor wanted = sum.clone().add_(x * factors);
      dropout(x, 0.3, 11, 22, sum, /*accumulate=*/true);
      EXPECT_TRUE(test::same_bits(sum, wanted));
    }
  });
}

TEST(FlatTraffic, AdamWAndTheNormReadEachBufferOnce) {
  for (const std::int64_t count : {4096, 16387}) {
    SCOPED_TRACE(count);
    const at::Tensor parameters = random_normal({count}, at::kFloat, 1);
    const at::Tensor gradient = random_normal({count}, at::kFloat, 2);
    const at::Tensor moment1 = filled({count}, at::kFloat, 0.0);
    const at::Tensor moment2 = filled({count}, at::kFloat, 0.0);
    const double wanted = gradient.to(at::kDouble).square().sum().item<double>();
    EXPECT_NEAR(sum_of_squares(gradient), wanted, 1e-12 * wanted);
    EXPECT_EQ(Device::current().reads("values").bytes, count * 4);
    EXPECT_NO_THROW(Device::current().check_written());
    adamw_step(parameters, gradient, moment1, moment2, {}, 1, 1.0);
    for (const char* name : {"parameters", "moment1", "moment2"}) {
      EXPECT_EQ(Device::current().reads(name).bytes, count * 4);
      EXPECT_EQ(Device::current().writes(name).bytes, count * 4);
    }
    EXPECT_EQ(Device::current().reads("gradient").bytes, count * 4);
    if (count == 4096) {
      EXPECT_TRUE(read_once("gradient", gradient) && written_once("parameters", parameters));
    }
  }
}

}  // namespace
}  // namespace weft::kernels
