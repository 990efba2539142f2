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

}  // namespace
}  // namespace weft::kernels
