#include "kernels/rms_norm.h"

#include <ATen/TensorOperators.h>
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

// x and the residual gradient stand for the stream between the layers: outputs are the new stream
// and its norm.
test::Tensors composition(const test::Tensors& in) {
  const at::Tensor x = in[0] + in[1];
  return {x, x * (x.square().mean(-1, true) + kEps).rsqrt() * in[2]};
}

struct Case {
  at::ScalarType dtype;
  at::Tensor x, delta, weight, dy, dstream;

  Case(std::int64_t tokens, std::int64_t width, at::ScalarType type)
      : dtype(type),
        x(random_normal({tokens, width}, type, 1)),
        delta(random_normal({tokens, width}, type, 2, 0.3)),
        weight(random_normal({width}, type, 3, 0.2).add_(1.0)),
        dy(random_normal({tokens, width}, type, 4)),
        dstream(random_normal({tokens, width}, type, 5)) {}

  [[nodiscard]] test::Oracle oracle() const {
    return test::evaluate(composition, {x, delta, weight}, {dstream, dy});
  }
};

struct Result {
  at::Tensor stream, y, rstd, normalized, dx, dweight;
};

constexpr double kOldWeightGradient = 3.0;

Result run(const Case& c, bool keep_normalized) {
  const at::ScalarType wide = test::wide_dtype(c.dtype);
  Result r{c.x.clone(),
           poisoned(c.x.sizes(), c.dtype),
           poisoned({c.x.size(0)}, wide),
           keep_normalized ? poisoned(c.x.sizes(), c.dtype) : at::Tensor(),
           c.dstream.clone(),
           filled(c.weight.sizes(), wide, kOldWeightGradient)};
  add_rms_norm_forward(r.stream, c.delta, c.weight, kEps, r.y, r.rstd, r.normalized);
  rms_norm_backward(c.dy, r.y, r.normalized, c.weight, r.rstd, r.dx, r.dweight);
  return r;
}

TEST(RmsNorm, IsAsPreciseAsTheComposition) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t tokens : {1, 2, 7, 33}) {
      for (const std::int64_t width : {1, 5, 64, 127, 130}) {
        for (const bool keep_normalized : {false, true}) {
          SCOPED_TRACE(fmt::format("T {} H {} normalized {}", tokens, width, keep_normalized));
          const Case c(tokens, width, dtype);
          const auto [plain, exact] = c.oracle();
          const Result r = run(c, keep_normalized);
          EXPECT_TRUE(as_precise_as(r.stream, plain.outputs[0], exact.outputs[0]));
          EXPECT_TRUE(as_precise_as(r.y, plain.outputs[1], exact.outputs[1]));
          EXPECT_TRUE(as_precise_as(r.dx, plain.gradients[0], exact.gradients[0]));
          EXPECT_TRUE(as_precise_as(r.dweight, plain.gradients[2] + kOldWeightGradient,
                                    exact.gradients[2] + kOldWeightGradient));
          const at::Tensor stream = exact.outputs[0];
          const at::Tensor rstd = (stream.square().mean(-1) + kEps).rsqrt();
          EXPECT_TRUE(as_precise_as(r.rstd, rstd.to(dtype), rstd));
        }
      }
    }
  });
}

// A zero weight takes the norm out of y; the saved `normalized` still has it.
TEST(RmsNorm, DifferentiatesAZeroWeightFromTheSavedNorm) {
  test::for_each_dtype([](at::ScalarType dtype) {
    Case c(7, 64, dtype);
    c.weight.narrow(0, 10, 20).zero_();
    ASSERT_FALSE(is_invertible(c.weight));
    const auto [plain, exact] = c.oracle();
    const Result r = run(c, /*keep_normalized=*/true);
    EXPECT_TRUE(as_precise_as(r.dx, plain.gradients[0], exact.gradients[0]));
    EXPECT_TRUE(as_precise_as(r.dweight, plain.gradients[2] + kOldWeightGradient,
                              exact.gradients[2] + kOldWeightGradient));
  });
}

TEST(RmsNorm, WorksWithoutDeltaAndLeavesTheStreamAlone) {
  const at::Tensor x = random_normal({7, 130}, at::kFloat, 1);
  const at::Tensor before = x.clone();
  const at::Tensor y = poisoned(x.sizes(), at::kFloat);
  const at::Tensor rstd = poisoned({7}, at::kFloat);
  add_rms_norm_forward(x, {}, filled({130}, at::kFloat, 1.0), kEps, y, rstd);
  EXPECT_TRUE(test::same_bits(x, before));
  const at::Tensor exact = x.to(at::kDouble);
  EXPECT_TRUE(test::near(y, exact * (exact.square().mean(-1, true) + kEps).rsqrt(), 1e-6));
}

TEST(RmsNorm, MatchesFiniteDifferences) {
  const at::Tensor x = random_normal({2, 5}, at::kDouble, 1);
  const at::Tensor weight = random_normal({5}, at::kDouble, 2);
  const at::Tensor dy = random_normal({2, 5}, at::kDouble, 3);
  const at::Tensor y = poisoned({2, 5}, at::kDouble);
  const at::Tensor rstd = poisoned({2}, at::kDouble);
  const auto loss = [&] {
    add_rms_norm_forward(x, {}, weight, kEps, y, rstd);
    return (y * dy).sum().item<double>();
  };
  const at::Tensor wanted_dx = test::numeric_gradient(loss, x);
  const at::Tensor wanted_dweight = test::numeric_gradient(loss, weight);
  loss();
  const at::Tensor dx = filled({2, 5}, at::kDouble, 0.0);
  const at::Tensor dweight = filled({5}, at::kDouble, 0.0);
  rms_norm_backward(dy, y, {}, weight, rstd, dx, dweight);
  EXPECT_TRUE(test::near(dx, wanted_dx, 1e-8));
  EXPECT_TRUE(test::near(dweight, wanted_dweight, 1e-8));
}

TEST(RmsNorm, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const Case c(33, 130, dtype);
    EXPECT_TRUE(test::independent_of_threads([&] {
      const Result r = run(c, /*keep_normalized=*/false);
      return test::Tensors{r.stream, r.y, r.rstd, r.dx, r.dweight};
    }));
  }
}

TEST(RmsNorm, LetsNanAndInfinityThroughInTheirRowOnly) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    for (const at::ScalarType dtype : test::kDtypes) {
      Case c(3, 130, dtype);
      c.x[1][129] = bad;
      const Result r = run(c, /*keep_normalized=*/false);
      EXPECT_TRUE(r.y[1].isnan().any().item<bool>());
      EXPECT_TRUE(r.dx[1].isnan().any().item<bool>());
      EXPECT_TRUE(r.y[0].isfinite().all().item<bool>());
      EXPECT_TRUE(r.dx[2].isfinite().all().item<bool>());
    }
  }
}

// Strides that rule 16-byte accesses out and that do not.
TEST(RmsNorm, TakesRowsInWiderOnesAndLeavesWhatIsBehindThem) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t spare : {1, 8, 24}) {
      for (const bool keep_normalized : {false, true}) {
        SCOPED_TRACE(fmt::format("spare {} normalized {}", spare, keep_normalized));
        const Case c(7, 64, dtype);
        const auto [plain, exact] = c.oracle();
        const at::Tensor x = c.x.clone();
        const at::Tensor rstd = poisoned({7}, test::wide_dtype(dtype));
        const at::Tensor y = test::padded(poisoned(c.x.sizes(), dtype), spare);
        const at::Tensor normalized = keep_normalized ? poisoned(c.x.sizes(), dtype) : at::Tensor();
        add_rms_norm_forward(x, c.delta, c.weight, kEps, y, rstd, normalized);
        const at::Tensor dx = test::padded(c.dstream, spare);
        const at::Tensor dweight = filled({64}, test::wide_dtype(dtype), kOldWeightGradient);
        rms_norm_backward(c.dy, y, normalized, c.weight, rstd, dx, dweight);
        EXPECT_TRUE(as_precise_as(y, plain.outputs[1], exact.outputs[1]));
        EXPECT_TRUE(as_precise_as(dx, plain.gradients[0], exact.gradients[0]));
        EXPECT_TRUE(as_precise_as(dweight, plain.gradients[2] + kOldWeightGradient,
                                  exact.gradients[2] + kOldWeightGradient));
        EXPECT_TRUE(test::left_alone_behind(y) && test::left_alone_behind(dx));
      }
    }
  });
}

TEST(RmsNorm, SaysWhichWeightsCanBeDividedOutAgain) {
  EXPECT_TRUE(is_invertible(filled({4}, at::kBFloat16, -0.5)));
  EXPECT_TRUE(is_invertible(filled({0}, at::kFloat, 0.0)));
  at::Tensor weight = filled({4}, at::kFloat, 1.0);
  weight[2] = -1e-7;
  EXPECT_FALSE(is_invertible(weight));
  weight[2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(is_invertible(weight));
}

TEST(RmsNorm, NamesTheTensorOfWrongShapeOrDtype) {
  const Case c(2, 5, at::kFloat);
  const auto forward = [&](const at::Tensor& y, const at::Tensor& rstd, const at::Tensor& delta) {
    return test::internal_error_of(
        [&] { add_rms_norm_forward(c.x, delta, c.weight, kEps, y, rstd); });
  };
  const at::Tensor y = poisoned({2, 5}, at::kFloat);
  const at::Tensor rstd = poisoned({2}, at::kFloat);
  EXPECT_EQ(forward(poisoned({2, 4}, at::kFloat), rstd, {}),
            "rms_norm y is [2, 4] Float, expected [2, 5] Float, contiguous");
  EXPECT_THAT(forward(poisoned({5, 2}, at::kFloat).t(), rstd, {}), HasSubstr("rms_norm y"));
  EXPECT_THAT(forward(y, poisoned({2}, at::kDouble), {}), HasSubstr("rms_norm rstd"));
  EXPECT_THAT(forward(y, rstd, poisoned({2, 5}, at::kHalf)), HasSubstr("rms_norm delta"));
  EXPECT_THAT(test::internal_error_of([&] {
                rms_norm_backward(c.dy, y, {}, c.weight, rstd, c.dstream,
                                  poisoned({5}, at::kDouble));
              }),
              HasSubstr("rms_norm dweight"));
  EXPECT_THAT(test::internal_error_of([&] {
                rms_norm_backward(c.dy, y, {}, c.weight, rstd, poisoned({5}, at::kFloat));
              }),
              HasSubstr("rms_norm dx"));
}

}  // namespace
}  // namespace weft::kernels
