#include "kernels/work_log.h"

#include <gtest/gtest.h>

#include "kernels/gemm.h"
#include "kernels/swiglu.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

TEST(WorkLog, CountsWhatAnOperatorReadsAndWrites) {
  const at::Tensor gate_up = test::random_normal({3, 20}, at::kBFloat16, 1);
  const at::Tensor out = test::poisoned({3, 10}, at::kBFloat16);
  const WorkLog log;
  swiglu_forward(gate_up, out);
  ASSERT_EQ(log.entries().size(), 1U);
  EXPECT_EQ(log.entries()[0].bytes_read, 3 * 20 * 2);
  EXPECT_EQ(log.entries()[0].bytes_written, 3 * 10 * 2);
  EXPECT_EQ(log.entries()[0].flops, 0.0);
  EXPECT_EQ(log.entries()[0].launches, 1);
}

TEST(WorkLog, CountsAProductOnceHoweverItIsComputed) {
  Arena scratch(at::kCPU);
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor a = test::random_normal({7, 5}, dtype, 1);
    const at::Tensor b = test::random_normal({5, 11}, dtype, 2);
    const at::Tensor out = test::poisoned({7, 11}, dtype);
    const WorkLog log;
    gemm(out, a, b, scratch);
    gemm(out, a, b, scratch, /*accumulate=*/true);
    ASSERT_EQ(log.entries().size(), 2U);
    EXPECT_EQ(log.entries()[0].kind, WorkKind::kProduct);
    EXPECT_EQ(log.entries()[0].flops, 2.0 * 7 * 5 * 11);
    const auto element = static_cast<std::int64_t>(a.element_size());
    EXPECT_EQ(log.entries()[0].bytes_read, (7 * 5 + 5 * 11) * element);
    EXPECT_EQ(log.entries()[1].bytes_read, (7 * 5 + 5 * 11 + 7 * 11) * element);
    EXPECT_EQ(log.entries()[1].bytes_written, 7 * 11 * element);
  }
}

TEST(WorkLog, BelongsToTheInnermostScope) {
  const at::Tensor gate_up = test::random_normal({1, 4}, at::kFloat, 1);
  const at::Tensor out = test::poisoned({1, 2}, at::kFloat);
  const WorkLog outer;
  {
    const WorkLog inner;
    swiglu_forward(gate_up, out);
    EXPECT_EQ(inner.entries().size(), 1U);
  }
  EXPECT_TRUE(outer.entries().empty());
  swiglu_forward(gate_up, out);
  EXPECT_EQ(outer.entries().size(), 1U);
}

}  // namespace
}  // namespace weft::kernels
