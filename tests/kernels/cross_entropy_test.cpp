#include "kernels/cross_entropy.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/log_softmax.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::as_precise_as;
using test::poisoned;
using test::random_normal;
using ::testing::HasSubstr;

constexpr double kScale = 1.0 / 37.0;

// Targets spread over the vocabulary, its first and last id among them.
at::Tensor targets_of(std::int64_t rows, std::int64_t vocabulary) {
  return (at::arange(rows, at::TensorOptions(at::kLong)) * 1237 + vocabulary - 1)
      .remainder(vocabulary);
}

test::Composition composition(const at::Tensor& targets) {
  return [targets](const test::Tensors& in) {
    return test::Tensors{at::log_softmax(in[0], -1).gather(1, targets.unsqueeze(1)).squeeze(1)};
  };
}

TEST(CrossEntropy, IsAsPreciseAsTheComposition) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t rows : {1, 2, 7, 33}) {
      for (const std::int64_t vocabulary : {3, 199, 4097}) {
        SCOPED_TRACE(fmt::format("N {} V {}", rows, vocabulary));
        const at::Tensor logits = random_normal({rows, vocabulary}, dtype, 1, 4.0);
        const at::Tensor targets = targets_of(rows, vocabulary);
        const auto [plain, exact] = test::evaluate(composition(targets), {logits},
                                                   {test::filled({rows}, at::kDouble, -kScale)});
        const at::Tensor log_probs = poisoned({rows}, test::wide_dtype(dtype));
        const at::Tensor untouched = logits.clone();
        target_log_probs(logits, targets, log_probs);
        EXPECT_TRUE(as_precise_as(log_probs, plain.outputs[0], exact.outputs[0]));
        EXPECT_TRUE(test::same_bits(logits, untouched));
        const at::Tensor again = poisoned({rows}, test::wide_dtype(dtype));
        cross_entropy_forward_backward(logits, targets, kScale, again);
        EXPECT_TRUE(test::same_bits(again, log_probs));
        EXPECT_TRUE(as_precise_as(logits, plain.gradients[0], exact.gradients[0]));
      }
    }
  });
}

// As the bf16 products of a head take it.
TEST(CrossEntropy, WritesANarrowGradientBesideTheLogits) {
  for (const std::int64_t vocabulary : {3, 199, 4096, 4100}) {
    const at::Tensor logits = random_normal({7, vocabulary}, at::kFloat, 1, 4.0);
    const at::Tensor targets = targets_of(7, vocabulary);
    const at::Tensor wide = logits.clone();
    const at::Tensor wanted = poisoned({7}, at::kFloat);
    cross_entropy_forward_backward(wide, targets, kScale, wanted);
    const at::Tensor gradient = poisoned({7, vocabulary}, at::kBFloat16);
    const at::Tensor log_probs = poisoned({7}, at::kFloat);
    cross_entropy_forward_backward(logits, targets, kScale, log_probs, gradient);
    EXPECT_TRUE(test::same_bits(log_probs, wanted));
    EXPECT_TRUE(test::same_bits(gradient, wide.to(at::kBFloat16))) << vocabulary;
  }
}

// A gradient row sums to zero; with 4097 classes in fp32 this sees the sum that lost small terms.
TEST(CrossEntropy, GradientOfARowSumsToZero) {
  const at::Tensor logits = random_normal({7, 4097}, at::kFloat, 1);
  cross_entropy_forward_backward(logits, targets_of(7, 4097), 1.0, poisoned({7}, at::kFloat));
  EXPECT_TRUE(test::near(logits.to(at::kDouble).sum(1), test::filled({7}, at::kDouble, 0.0), 1e-6));
}

TEST(CrossEntropy, KeepsLargeAndMaskedLogitsExact) {
  for (const at::ScalarType dtype : test::kDtypes) {
    const at::Tensor logits = test::filled({2, 3}, dtype, 0.0);
    logits[0][0] = 30000.0;
    logits[0][1] = -std::numeric_limits<double>::infinity();
    logits[1][2] = -30000.0;
    const at::Tensor log_probs = poisoned({2}, test::wide_dtype(dtype));
    const at::Tensor targets = test::filled({2}, at::kLong, 0.0);
    cross_entropy_forward_backward(logits, targets, 1.0, log_probs);
    EXPECT_EQ(log_probs[0].item<double>(), 0.0);
    EXPECT_NEAR(log_probs[1].item<double>(), -std::log(2.0), 1e-6);
    at::Tensor wanted = test::filled({2, 3}, at::kDouble, 0.0);
    wanted[1][0] = -0.5;
    wanted[1][1] = 0.5;
    EXPECT_TRUE(test::near(logits, wanted, 1e-6));
  }
}

TEST(CrossEntropy, GivesNanForARowWithANanOrInfiniteLogit) {
  for (const at::ScalarType dtype : test::kDtypes) {
    for (const double bad :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
      for (const std::int64_t column : {0, 77, 198}) {
        const at::Tensor logits = random_normal({3, 199}, dtype, 1);
        logits[1][column] = bad;
        const at::Tensor log_probs = test::filled({3}, test::wide_dtype(dtype), 0.0);
        cross_entropy_forward_backward(logits, targets_of(3, 199), 1.0, log_probs);
        EXPECT_FALSE(log_probs[1].isfinite().item<bool>()) << column;
        EXPECT_TRUE(logits[1].isnan().any().item<bool>()) << column;
        EXPECT_TRUE(log_probs[0].isfinite().item<bool>());
        EXPECT_TRUE(logits[2].isfinite().all().item<bool>());
      }
    }
  }
}

TEST(CrossEntropy, MatchesFiniteDifferences) {
  const at::Tensor logits = random_normal({3, 5}, at::kDouble, 1);
  const at::Tensor targets = targets_of(3, 5);
  const at::Tensor log_probs = poisoned({3}, at::kDouble);
  const at::Tensor wanted = test::numeric_gradient(
      [&] {
        target_log_probs(logits, targets, log_probs);
        return -kScale * log_probs.sum().item<double>();
      },
      logits);
  cross_entropy_forward_backward(logits, targets, kScale, log_probs);
  EXPECT_TRUE(test::near(logits, wanted, 1e-8));
}

TEST(CrossEntropy, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    EXPECT_TRUE(test::independent_of_threads([&] {
      const at::Tensor logits = random_normal({33, 199}, dtype, 1);
      const at::Tensor log_probs = poisoned({33}, test::wide_dtype(dtype));
      cross_entropy_forward_backward(logits, targets_of(33, 199), kScale, log_probs);
      return test::Tensors{logits, log_probs};
    }));
  }
}

TEST(CrossEntropy, NamesTheTensorOfWrongShapeOrDtype) {
  const at::Tensor logits = poisoned({2, 5}, at::kFloat);
  const auto error = [&](const at::Tensor& rows, const at::Tensor& targets,
                         const at::Tensor& log_probs) {
    return test::internal_error_of([&] { target_log_probs(rows, targets, log_probs); });
  };
  const at::Tensor targets = targets_of(2, 5);
  EXPECT_THAT(error(logits, targets_of(3, 5), poisoned({2}, at::kFloat)),
              HasSubstr("cross_entropy targets is [3] Long, expected [2] Long"));
  EXPECT_THAT(error(logits, targets.to(at::kInt), poisoned({2}, at::kFloat)),
              HasSubstr("cross_entropy targets"));
  EXPECT_THAT(error(logits, targets, poisoned({2}, at::kDouble)),
              HasSubstr("cross_entropy log_probs"));
  EXPECT_THAT(error(poisoned({5, 2}, at::kFloat).t(), targets, poisoned({2}, at::kFloat)),
              HasSubstr("cross_entropy logits"));
  for (const at::Tensor& gradient :
       {poisoned({2, 4}, at::kBFloat16), poisoned({2, 5}, at::kDouble)}) {
    EXPECT_THAT(test::internal_error_of([&] {
                  cross_entropy_forward_backward(logits, targets, 1.0, poisoned({2}, at::kFloat),
                                                 gradient);
                }),
                HasSubstr("cross_entropy gradient"));
  }
}

}  // namespace
}  // namespace weft::kernels
