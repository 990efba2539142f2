#include "kernels/host_copies.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "kernels/adamw.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::filled;
using ::testing::HasSubstr;

TEST(HostRead, GivesTheNumbersInOrderAndCountsOneRead) {
  const std::int64_t before = host_reads();
  const auto values =
      read_on_host({filled({1}, at::kDouble, 0.1), filled({}, at::kDouble, -2.0),
                    filled({1, 1}, at::kDouble, std::numeric_limits<double>::infinity())});
  EXPECT_THAT(values, ::testing::ElementsAre(0.1, -2.0, std::numeric_limits<double>::infinity()));
  EXPECT_EQ(host_reads(), before + 1);
}

TEST(ToDevice, BringsTheValuesAndTheirType) {
  const std::vector<std::int32_t> values{3, -1, 7};
  const at::Tensor sent = to_device<std::int32_t>(values, at::kInt, at::kCPU);
  EXPECT_TRUE(at::equal(sent, at::tensor({3, -1, 7}, at::kInt)));
  EXPECT_EQ(to_device<std::int64_t>({}, at::kLong, at::kCPU).numel(), 0);
  EXPECT_EQ(to_device<std::int32_t>(values, at::kInt, at::kMeta).numel(), 3);
}

TEST(HostRead, OfNothingReadsNothing) {
  const std::int64_t before = host_reads();
  EXPECT_TRUE(read_on_host({}).empty());
  EXPECT_EQ(host_reads(), before);
}

TEST(HostRead, RefusesWhatIsNotANumberOfFp64) {
  for (const at::Tensor& bad :
       {at::Tensor(), filled({1}, at::kFloat, 1.0), filled({2}, at::kDouble, 1.0)}) {
    EXPECT_THAT(test::internal_error_of([&] { (void)read_on_host({bad}); }),
                HasSubstr("expected one element of Double"));
  }
}

TEST(HostRead, IsHowASumOfSquaresReachesTheHost) {
  const std::int64_t before = host_reads();
  const at::Tensor sum = sum_of_squares_tensor(filled({5}, at::kFloat, 2.0));
  EXPECT_EQ(host_reads(), before);
  EXPECT_EQ(read_on_host({sum}).front(), sum_of_squares(filled({5}, at::kFloat, 2.0)));
  EXPECT_EQ(host_reads(), before + 2);
}

}  // namespace
}  // namespace weft::kernels
