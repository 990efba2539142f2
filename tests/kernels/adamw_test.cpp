#include "kernels/adamw.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_fused_adamw.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::filled;
using test::poisoned;
using test::random_normal;
using ::testing::HasSubstr;

constexpr AdamWOptions kOptions{
    .learning_rate = 0.02, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6, .weight_decay = 0.1};
constexpr double kClip = 0.37;
constexpr int kSteps = 5;

struct State {
  at::Tensor parameters, moment1, moment2;

  State(std::int64_t count, at::ScalarType dtype)
      : parameters(random_normal({count}, dtype, 1)),
        moment1(filled({count}, dtype, 0.0)),
        moment2(filled({count}, dtype, 0.0)) {}
};

at::Tensor gradient_at(std::int64_t count, at::ScalarType dtype, int step) {
  return random_normal({count}, dtype, static_cast<std::uint64_t>(10 + step));
}

// As the documentation of torch.optim.AdamW has it, one operation after the other.
void step_by_formula(State& s, const at::Tensor& gradient, int step) {
  const AdamWOptions& o = kOptions;
  const at::Tensor g = gradient * kClip;
  s.parameters = s.parameters - o.learning_rate * o.weight_decay * s.parameters;
  s.moment1 = o.beta1 * s.moment1 + (1 - o.beta1) * g;
  s.moment2 = o.beta2 * s.moment2 + (1 - o.beta2) * g * g;
  const at::Tensor m = s.moment1 / (1 - std::pow(o.beta1, step));
  const at::Tensor v = s.moment2 / (1 - std::pow(o.beta2, step));
  s.parameters = s.parameters - o.learning_rate * m / (v.sqrt() + o.epsilon);
}

// A gate whose clip is that of `max_norm` for this gradient.
StepGate gate_of(const at::Tensor& gradient, double max_norm) {
  return {sum_of_squares_tensor(gradient), max_norm};
}

TEST(AdamW, ThroughAGateItIsTheStepThatTheHostWouldTake) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t count : {1, 127, 16384 + 130}) {
      for (const double max_norm : {0.0, 0.3, 1e6}) {
        SCOPED_TRACE(fmt::format("{} parameters, max_norm {}", count, max_norm));
        State gated(count, dtype);
        State hosted(count, dtype);
        for (int step = 1; step <= kSteps; ++step) {
          const at::Tensor gradient = gradient_at(count, dtype, step);
          const double norm = std::sqrt(sum_of_squares(gradient));
          const double clip = max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
          adamw_step(gated.parameters, gradient, gated.moment1, gated.moment2, kOptions, step,
                     gate_of(gradient, max_norm));
          adamw_step(hosted.parameters, gradient, hosted.moment1, hosted.moment2, kOptions, step,
                     clip);
        }
        EXPECT_TRUE(test::same_bits(gated.parameters, hosted.parameters));
        EXPECT_TRUE(test::same_bits(gated.moment1, hosted.moment1));
        EXPECT_TRUE(test::same_bits(gated.moment2, hosted.moment2));
      }
    }
  });
}

TEST(AdamW, AShutGateChangesNoBit) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const double bad : {std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity(), std::nan("")}) {
      State state(131, dtype);
      const State before(131, dtype);
      at::Tensor gradient = gradient_at(131, dtype, 1);
      gradient[130] = bad;
      adamw_step(state.parameters, gradient, state.moment1, state.moment2, kOptions, 1,
                 gate_of(gradient, 1.0));
      EXPECT_TRUE(test::same_bits(state.parameters, before.parameters));
      EXPECT_TRUE(test::same_bits(state.moment1, before.moment1));
      EXPECT_TRUE(test::same_bits(state.moment2, before.moment2));
    }
  });
}

TEST(AdamW, NamesAGateOfWrongTypeOrShape) {
  State s(4, at::kFloat);
  for (const at::Tensor& bad : {at::Tensor(), filled({1}, at::kFloat, 1.0),
                                filled({2}, at::kDouble, 1.0), filled({}, at::kDouble, 1.0)}) {
    EXPECT_THAT(test::internal_error_of([&] {
                  adamw_step(s.parameters, gradient_at(4, at::kFloat, 1), s.moment1, s.moment2,
                             kOptions, 1, StepGate{bad, 1.0});
                }),
                HasSubstr("adamw squared_norm is"));
  }
}

TEST(AdamW, FollowsTheFormulaOverSeveralSteps) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t count : {0, 1, 127, 16384 + 130}) {
      SCOPED_TRACE(fmt::format("{} parameters", count));
      State state(count, dtype);
      State plain(count, dtype);
      State exact(count, dtype);
      exact.parameters = exact.parameters.to(at::kDouble);
      for (int step = 1; step <= kSteps; ++step) {
        const at::Tensor gradient = gradient_at(count, dtype, step);
        const at::Tensor before = gradient.clone();
        adamw_step(state.parameters, gradient, state.moment1, state.moment2, kOptions, step, kClip);
        step_by_formula(plain, gradient, step);
        step_by_formula(exact, gradient.to(at::kDouble), step);
        EXPECT_TRUE(test::same_bits(gradient, before));
      }
      EXPECT_TRUE(test::as_precise_as(state.parameters, plain.parameters, exact.parameters));
      EXPECT_TRUE(test::as_precise_as(state.moment1, plain.moment1, exact.moment1));
      EXPECT_TRUE(test::as_precise_as(state.moment2, plain.moment2, exact.moment2));
    }
  });
}

TEST(AdamW, AgreesWithAtensOwn) {
  constexpr std::int64_t kCount = 1027;
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    State ours(kCount, dtype);
    State theirs(kCount, dtype);
    for (int step = 1; step <= kSteps; ++step) {
      const at::Tensor gradient = gradient_at(kCount, dtype, step);
      adamw_step(ours.parameters, gradient, ours.moment1, ours.moment2, kOptions, step, kClip);
      test::Tensors p{theirs.parameters}, g{gradient * kClip}, m{theirs.moment1}, v{theirs.moment2};
      test::Tensors steps{filled({}, at::kFloat, step)};
      at::_fused_adamw_(p, g, m, v, {}, steps, kOptions.learning_rate, kOptions.beta1,
                        kOptions.beta2, kOptions.weight_decay, kOptions.epsilon,
                        /*amsgrad=*/false, /*maximize=*/false);
    }
    EXPECT_TRUE(test::near(ours.parameters, theirs.parameters, 2e-6));
    EXPECT_TRUE(test::near(ours.moment1, theirs.moment1, 1e-6));
  }
}

TEST(AdamW, GivesTheSameBitsForAnyNumberOfThreads) {
  constexpr std::int64_t kCount = 3 * 16384 + 77;
  EXPECT_TRUE(test::independent_of_threads([&] {
    const State s(kCount, at::kFloat);
    const at::Tensor gradient = gradient_at(kCount, at::kFloat, 1);
    adamw_step(s.parameters, gradient, s.moment1, s.moment2, kOptions, 1, kClip);
    return test::Tensors{s.parameters, s.moment1, s.moment2,
                         filled({}, at::kDouble, sum_of_squares(gradient))};
  }));
}

TEST(AdamW, NamesTheTensorOfWrongShapeOrDtype) {
  const State s(5, at::kFloat);
  const auto error = [&](const at::Tensor& gradient, const at::Tensor& moment2) {
    return test::internal_error_of(
        [&] { adamw_step(s.parameters, gradient, s.moment1, moment2, kOptions, 1, 1.0); });
  };
  EXPECT_THAT(error(poisoned({4}, at::kFloat), s.moment2),
              HasSubstr("adamw gradient is [4] Float, expected [5] Float"));
  EXPECT_THAT(error(s.moment1, s.moment2.to(at::kDouble)), HasSubstr("adamw moment2"));
  EXPECT_THAT(test::internal_error_of([] {
                (void)sum_of_squares(poisoned({4, 2}, at::kFloat).t());
              }),
              HasSubstr("sum_of_squares"));
}

TEST(SumOfSquares, IsTheFp64Sum) {
  for (const at::ScalarType dtype : test::kDtypes) {
    for (const std::int64_t count : {0, 1, 127, 16384, 3 * 16384 + 130}) {
      const at::Tensor values = random_normal({count}, dtype, 1);
      const double wanted = values.to(at::kDouble).square().sum().item<double>();
      EXPECT_NEAR(sum_of_squares(values), wanted, 1e-12 * wanted) << dtype << " " << count;
    }
  }
  // The squares of fp32 values need not fit in fp32.
  EXPECT_DOUBLE_EQ(sum_of_squares(filled({2}, at::kDouble, 1e25)), 2e50);
  EXPECT_NEAR(sum_of_squares(filled({2}, at::kFloat, 1e25)), 2e50, 1e44);
}

TEST(SumOfSquares, IsNotFiniteWhenAnElementIsNot) {
  for (const at::ScalarType dtype : test::kDtypes) {
    for (const double bad :
         {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
      for (const std::int64_t index : {0, 16384, 20000}) {
        const at::Tensor values = random_normal({20001}, dtype, 1);
        values[index] = bad;
        EXPECT_FALSE(std::isfinite(sum_of_squares(values))) << dtype << " " << index;
      }
    }
  }
}

}  // namespace
}  // namespace weft::kernels
