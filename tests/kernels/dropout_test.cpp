#include "kernels/dropout.h"

#include <ATen/TensorOperators.h>
#include <gmock/gmock.h>

#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::filled;
using test::poisoned;
using test::random_normal;
using ::testing::HasSubstr;

at::Tensor factors(at::IntArrayRef sizes, double p, std::uint64_t seed, std::uint64_t stream) {
  const at::Tensor out = poisoned(sizes, at::kDouble);
  dropout(filled(sizes, at::kDouble, 1.0), p, seed, stream, out);
  return out;
}

double kept_fraction(const at::Tensor& mask) {
  return (mask != 0).to(at::kDouble).mean().item<double>();
}

TEST(Dropout, KeepsTheRightFractionAndScalesIt) {
  for (const double p : {0.05, 0.3, 0.9}) {
    const at::Tensor mask = factors({200, 501}, p, 1, 2);
    // Five standard deviations of a binomial over 100,200 elements are under 0.008.
    EXPECT_NEAR(kept_fraction(mask), 1.0 - p, 0.008);
    EXPECT_NEAR(mask.max().item<double>(), 1.0 / (1.0 - p), 1e-6);
    EXPECT_NEAR(mask.mean().item<double>(), 1.0, 0.008 / (1.0 - p));
  }
}

TEST(Dropout, DropsNothingAtZero) {
  for (const at::ScalarType dtype : test::kDtypes) {
    const at::Tensor x = random_normal({7, 130}, dtype, 1);
    const at::Tensor out = poisoned({7, 130}, dtype);
    dropout(x, 0.0, 1, 2, out);
    EXPECT_TRUE(test::same_bits(out, x));
  }
}

TEST(Dropout, OneKeyGivesOneMaskWhateverTheDtype) {
  const at::Tensor mask = factors({7, 130}, 0.3, 1, 2);
  for (const at::ScalarType dtype : test::kDtypes) {
    const at::Tensor x = random_normal({7, 130}, dtype, 1);
    const at::Tensor out = poisoned({7, 130}, dtype);
    dropout(x, 0.3, 1, 2, out);
    EXPECT_TRUE(
        test::as_precise_as(out, (x.to(at::kDouble) * mask).to(dtype), x.to(at::kDouble) * mask));
    EXPECT_TRUE(test::same_bits(out == 0, mask == 0));
  }
}

TEST(Dropout, SeedsAndStreamsAreIndependent) {
  const at::Tensor mask = factors({100, 500}, 0.5, 1, 2) != 0;
  for (const auto& [seed, stream] : {std::pair{1, 3}, {2, 2}, {2, 1}}) {
    const at::Tensor other = factors({100, 500}, 0.5, static_cast<std::uint64_t>(seed),
                                     static_cast<std::uint64_t>(stream)) != 0;
    // Half of the elements agree by chance, within five standard deviations.
    EXPECT_NEAR((mask == other).to(at::kDouble).mean().item<double>(), 0.5, 0.012);
  }
}

TEST(Dropout, AnElementsFateDependsOnItsIndexOnly) {
  const at::Tensor large = factors({33, 130}, 0.3, 1, 2).flatten();
  EXPECT_TRUE(test::same_bits(factors({7, 127}, 0.3, 1, 2).flatten(), large.narrow(0, 0, 7 * 127)));
  EXPECT_TRUE(test::independent_of_threads([] {
    return test::Tensors{factors({99, 501}, 0.3, 1, 2)};
  }));
}

TEST(Dropout, AddsToItsOutputOrReplacesItsInput) {
  const at::Tensor mask = factors({7, 130}, 0.3, 1, 2);
  for (const at::ScalarType dtype : test::kDtypes) {
    const at::Tensor x = random_normal({7, 130}, dtype, 1);
    const at::Tensor sum = filled({7, 130}, dtype, 2.0);
    dropout(x, 0.3, 1, 2, sum, /*accumulate=*/true);
    const at::Tensor exact = x.to(at::kDouble) * mask;
    EXPECT_TRUE(test::as_precise_as(sum, (exact + 2.0).to(dtype), exact + 2.0));
    dropout(x, 0.3, 1, 2, x);
    EXPECT_TRUE(test::as_precise_as(x, exact.to(dtype), exact));
  }
}

TEST(Dropout, NamesTheTensorOfWrongShapeOrDtype) {
  const at::Tensor x = poisoned({2, 3}, at::kFloat);
  const auto error = [](const at::Tensor& in, const at::Tensor& out) {
    return test::internal_error_of([&] { dropout(in, 0.5, 1, 2, out); });
  };
  EXPECT_THAT(error(x, poisoned({2, 4}, at::kFloat)), HasSubstr("dropout out is [2, 4] Float"));
  EXPECT_THAT(error(x, x.to(at::kDouble)), HasSubstr("dropout out"));
  EXPECT_THAT(error(x.t(), poisoned({3, 2}, at::kFloat)), HasSubstr("dropout x"));
}

}  // namespace
}  // namespace weft::kernels
