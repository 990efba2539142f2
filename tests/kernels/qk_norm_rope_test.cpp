#include "kernels/qk_norm_rope.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/outer.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <limits>

#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::as_precise_as;
using test::filled;
using test::poisoned;
using test::random_normal;
using ::testing::HasSubstr;

constexpr double kEps = 1e-6;
constexpr std::int64_t kTableRows = 50;

const HeadLayout kLayouts[] = {{1, 1, 2}, {4, 2, 6}, {8, 1, 64}, {4, 2, 128}, {1, 1, 256}};

struct Case {
  HeadLayout layout;
  at::ScalarType dtype;
  at::Tensor qkv, q_weight, k_weight, cos, sin, positions, dqkv;

  Case(std::int64_t tokens, const HeadLayout& heads, at::ScalarType type)
      : layout(heads),
        dtype(type),
        qkv(random_normal({tokens, heads.row()}, type, 1)),
        q_weight(random_normal({heads.head_dim}, type, 2, 0.2).add_(1.0)),
        k_weight(random_normal({heads.head_dim}, type, 3, 0.2).sub_(1.0)),
        // Positions of packed documents jump back; any order will do.
        positions((at::arange(tokens, at::TensorOptions(at::kInt)) * 7 + 3).remainder(kTableRows)),
        dqkv(random_normal({tokens, heads.row()}, type, 4)) {
    const at::Tensor rows = at::arange(kTableRows, at::TensorOptions(at::kDouble));
    const at::Tensor columns = at::arange(heads.head_dim / 2, at::TensorOptions(at::kDouble));
    const at::Tensor angles = at::outer(rows, (columns * -0.3).exp());
    cos = angles.cos().to(test::wide_dtype(type));
    sin = angles.sin().to(test::wide_dtype(type));
  }

  // As transformers writes it: x * cos + rotate_half(x) * sin over full-width tables.
  [[nodiscard]] test::Composition composition() const {
    return [*this](const test::Tensors& in) {
      const auto table = [&](const at::Tensor& half) {
        const at::Tensor rows = half.index_select(0, positions).to(in[0].scalar_type());
        return at::cat({rows, rows}, 1).unsqueeze(1);
      };
      const auto turned = [&](std::int64_t first, std::int64_t heads, const at::Tensor& weight) {
        const std::int64_t d = layout.head_dim;
        at::Tensor x = in[0].narrow(1, first * d, heads * d).unflatten(1, {heads, d});
        x = x * (x.square().mean(-1, true) + kEps).rsqrt() * weight;
        const auto halves = x.chunk(2, -1);
        const at::Tensor rotated = at::cat({-halves[1], halves[0]}, -1);
        return (x * table(cos) + rotated * table(sin)).flatten(1);
      };
      const std::int64_t values = layout.rotated() * layout.head_dim;
      return test::Tensors{
          at::cat({turned(0, layout.heads_q, in[1]), turned(layout.heads_q, layout.heads_k, in[2]),
                   in[0].narrow(1, values, layout.row() - values)},
                  1)};
    };
  }
};

struct Result {
  at::Tensor rows, rstd, normalized, gradient, dq_weight, dk_weight;
};

constexpr double kOldWeightGradient = -2.0;

Result run(const Case& c, bool keep_normalized) {
  const at::ScalarType wide = test::wide_dtype(c.dtype);
  const std::int64_t tokens = c.qkv.size(0);
  Result r{c.qkv.clone(),
           poisoned({tokens, c.layout.rotated()}, wide),
           keep_normalized ? poisoned({tokens, c.layout.rotated() * c.layout.head_dim}, c.dtype)
                           : at::Tensor(),
           c.dqkv.clone(),
           filled({c.layout.head_dim}, wide, kOldWeightGradient),
           filled({c.layout.head_dim}, wide, kOldWeightGradient)};
  qk_norm_rope_forward(r.rows, c.layout, c.q_weight, c.k_weight, kEps, c.cos, c.sin, c.positions,
                       r.rstd, r.normalized);
  qk_norm_rope_backward(r.gradient, keep_normalized ? at::Tensor() : r.rows, r.normalized, c.layout,
                        c.q_weight, c.k_weight, c.cos, c.sin, c.positions, r.rstd, r.dq_weight,
                        r.dk_weight);
  return r;
}

void expect_precise(const Case& c, bool keep_normalized) {
  const auto [plain, exact] =
      test::evaluate(c.composition(), {c.qkv, c.q_weight, c.k_weight}, {c.dqkv});
  const Result r = run(c, keep_normalized);
  EXPECT_TRUE(as_precise_as(r.rows, plain.outputs[0], exact.outputs[0]));
  EXPECT_TRUE(as_precise_as(r.gradient, plain.gradients[0], exact.gradients[0]));
  EXPECT_TRUE(as_precise_as(r.dq_weight, plain.gradients[1] + kOldWeightGradient,
                            exact.gradients[1] + kOldWeightGradient));
  EXPECT_TRUE(as_precise_as(r.dk_weight, plain.gradients[2] + kOldWeightGradient,
                            exact.gradients[2] + kOldWeightGradient));
}

TEST(QkNormRope, IsAsPreciseAsTheComposition) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t tokens : {1, 2, 7, 33}) {
      for (const HeadLayout& layout : kLayouts) {
        for (const bool keep_normalized : {false, true}) {
          SCOPED_TRACE(fmt::format("T {} heads {}/{} of {}, normalized {}", tokens, layout.heads_q,
                                   layout.heads_k, layout.head_dim, keep_normalized));
          expect_precise(Case(tokens, layout, dtype), keep_normalized);
        }
      }
    }
  });
}

TEST(QkNormRope, DifferentiatesAZeroWeightFromTheSavedNorm) {
  test::for_each_dtype([](at::ScalarType dtype) {
    Case c(7, {4, 2, 64}, dtype);
    c.q_weight.narrow(0, 3, 20).zero_();
    c.k_weight[63] = 0.0;
    expect_precise(c, /*keep_normalized=*/true);
  });
}

// As YaRN's are: turning back by them is not yet undoing.
TEST(QkNormRope, UndoesAFactorInTheTables) {
  test::for_each_dtype([](at::ScalarType dtype) {
    Case c(7, {4, 2, 64}, dtype);
    c.cos.mul_(1.3);
    c.sin.mul_(1.3);
    expect_precise(c, /*keep_normalized=*/false);
    expect_precise(c, /*keep_normalized=*/true);
  });
}

TEST(QkNormRope, LeavesValuesAndPositionZeroUnturned) {
  Case c(2, {1, 1, 6}, at::kFloat);
  c.positions.zero_();
  const Result r = run(c, /*keep_normalized=*/true);
  EXPECT_TRUE(test::same_bits(r.rows.narrow(1, 12, 6), c.qkv.narrow(1, 12, 6)));
  EXPECT_TRUE(test::same_bits(r.gradient.narrow(1, 12, 6), c.dqkv.narrow(1, 12, 6)));
  EXPECT_TRUE(test::near(r.rows.narrow(1, 0, 6), r.normalized.narrow(1, 0, 6) * c.q_weight, 1e-6));
}

TEST(QkNormRope, WorksWithoutWeightGradients) {
  const Case c(7, {4, 2, 6}, at::kFloat);
  const Result wanted = run(c, /*keep_normalized=*/false);
  const at::Tensor gradient = c.dqkv.clone();
  qk_norm_rope_backward(gradient, wanted.rows, {}, c.layout, c.q_weight, c.k_weight, c.cos, c.sin,
                        c.positions, wanted.rstd);
  EXPECT_TRUE(test::same_bits(gradient, wanted.gradient));
}

TEST(QkNormRope, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const Case c(33, {4, 2, 6}, dtype);
    EXPECT_TRUE(test::independent_of_threads([&] {
      const Result r = run(c, /*keep_normalized=*/false);
      return test::Tensors{r.rows, r.rstd, r.gradient, r.dq_weight, r.dk_weight};
    }));
  }
}

// Strides that rule 16-byte accesses out and that do not.
TEST(QkNormRope, TakesRowsInWiderOnesAndLeavesWhatIsBehindThem) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t spare : {1, 8, 24}) {
      for (const bool keep_normalized : {false, true}) {
        SCOPED_TRACE(fmt::format("spare {} normalized {}", spare, keep_normalized));
        Case c(7, {4, 2, 64}, dtype);
        const auto [plain, exact] =
            test::evaluate(c.composition(), {c.qkv, c.q_weight, c.k_weight}, {c.dqkv});
        c.qkv = test::padded(c.qkv, spare);
        c.dqkv = test::padded(c.dqkv, spare + 8);
        const at::Tensor rstd = poisoned({7, c.layout.rotated()}, test::wide_dtype(dtype));
        const at::Tensor normalized =
            keep_normalized ? poisoned({7, c.layout.rotated() * 64}, dtype) : at::Tensor();
        qk_norm_rope_forward(c.qkv, c.layout, c.q_weight, c.k_weight, kEps, c.cos, c.sin,
                             c.positions, rstd, normalized);
        qk_norm_rope_backward(c.dqkv, keep_normalized ? at::Tensor() : c.qkv, normalized, c.layout,
                              c.q_weight, c.k_weight, c.cos, c.sin, c.positions, rstd);
        EXPECT_TRUE(as_precise_as(c.qkv, plain.outputs[0], exact.outputs[0]));
        EXPECT_TRUE(as_precise_as(c.dqkv, plain.gradients[0], exact.gradients[0]));
        EXPECT_TRUE(test::left_alone_behind(c.qkv) && test::left_alone_behind(c.dqkv));
      }
    }
  });
}

TEST(QkNormRope, LetsNanThroughInItsHeadOnly) {
  for (const at::ScalarType dtype : test::kDtypes) {
    Case c(3, {4, 2, 6}, dtype);
    c.qkv[1][6] = std::numeric_limits<double>::quiet_NaN();
    const Result r = run(c, /*keep_normalized=*/false);
    EXPECT_EQ(r.rows.isnan().sum().item<std::int64_t>(), 6);
    EXPECT_TRUE(r.rows[1].narrow(0, 6, 6).isnan().all().item<bool>());
    EXPECT_TRUE(r.gradient[1].narrow(0, 6, 6).isnan().all().item<bool>());
    EXPECT_TRUE(r.dq_weight.isnan().all().item<bool>());
    EXPECT_TRUE(r.dk_weight.isfinite().all().item<bool>());
  }
}

TEST(QkNormRope, NamesTheTensorOfWrongShapeOrDtype) {
  const auto error = [](const std::function<void(Case&)>& spoil) {
    Case c(2, {4, 2, 6}, at::kFloat);
    spoil(c);
    return test::internal_error_of([&] { run(c, /*keep_normalized=*/false); });
  };
  EXPECT_THAT(error([](Case& c) {
                c.qkv = poisoned({2, 47}, at::kFloat);
              }),
              HasSubstr("qk_norm_rope qkv is [2, 47] Float, expected [2, 48] Float"));
  EXPECT_THAT(error([](Case& c) { c.k_weight = poisoned({5}, at::kFloat); }),
              HasSubstr("qk_norm_rope k_weight"));
  EXPECT_THAT(error([](Case& c) { c.cos = c.cos.to(at::kDouble); }), HasSubstr("qk_norm_rope cos"));
  EXPECT_THAT(error([](Case& c) { c.sin = c.sin.narrow(0, 0, 3); }), HasSubstr("qk_norm_rope sin"));
  EXPECT_THAT(error([](Case& c) { c.positions = c.positions.to(at::kLong); }),
              HasSubstr("qk_norm_rope positions"));
  EXPECT_THAT(error([](Case& c) {
                c.dqkv = poisoned({1, 48}, at::kFloat);
              }),
              HasSubstr("qk_norm_rope"));
}

}  // namespace
}  // namespace weft::kernels
