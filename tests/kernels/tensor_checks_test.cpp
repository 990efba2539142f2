#include "kernels/tensor_checks.h"

#include <gmock/gmock.h>

#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

TEST(TensorChecks, DescribesATensor) {
  EXPECT_EQ(describe(test::filled({512, 3}, at::kFloat, 0)), "[512, 3] Float");
  EXPECT_EQ(describe(test::filled({2, 3}, at::kBFloat16, 0).t()),
            "[3, 2] BFloat16, not contiguous");
  EXPECT_EQ(describe({}), "undefined");
}

TEST(TensorChecks, SaysWhatWasFoundAndExpected) {
  const auto error = [](const at::Tensor& tensor) {
    return test::internal_error_of([&] { check_tensor(tensor, {2, 3}, at::kFloat, "dx"); });
  };
  EXPECT_EQ(error({}), "dx is undefined, expected [2, 3] Float, contiguous");
  EXPECT_EQ(error(test::filled({2, 3}, at::kDouble, 0)),
            "dx is [2, 3] Double, expected [2, 3] Float, contiguous");
  EXPECT_EQ(error(test::filled({3, 2}, at::kFloat, 0).t()),
            "dx is [2, 3] Float, not contiguous, expected [2, 3] Float, contiguous");
  EXPECT_EQ(error(test::filled({2, 3}, at::kFloat, 0)), "(nothing thrown)");
}

TEST(TensorChecks, RowsMayLieInWiderOnesWhereThatIsTaken) {
  const at::Tensor wide = test::filled({4, 9}, at::kFloat, 0);
  const auto error = [](const at::Tensor& rows, auto&& check) {
    return test::internal_error_of([&] { check(rows, {4, 3}, at::kFloat, "dx"); });
  };
  EXPECT_EQ(error(wide.narrow(1, 2, 3), check_rows), "(nothing thrown)");
  EXPECT_EQ(error(wide.narrow(1, 0, 3).contiguous(), check_rows), "(nothing thrown)");
  EXPECT_EQ(error(wide.narrow(1, 2, 3), check_tensor),
            "dx is [4, 3] Float, not contiguous, expected [4, 3] Float, contiguous");
  EXPECT_EQ(error(wide.narrow(1, 2, 4), check_rows),
            "dx is [4, 4] Float, not contiguous, expected [4, 3] Float, contiguous");
  EXPECT_EQ(error(test::filled({3, 4}, at::kFloat, 0).t(), check_rows),
            "dx is [4, 3] Float, not contiguous, expected [4, 3] Float, contiguous");
  EXPECT_EQ(error(test::filled({1, 3}, at::kFloat, 0).expand({4, 3}), check_rows),
            "dx is [4, 3] Float, not contiguous, expected [4, 3] Float, contiguous");
}

}  // namespace
}  // namespace weft::kernels
