#include "kernels/padded_rows.h"

#include <gmock/gmock.h>

#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

TEST(PaddedRows, ShareTheirMemoryWithWhatIsBehindThem) {
  for (const std::int64_t tokens : {1, 4}) {
    Arena arena{c10::Device(at::kCPU)};
    const at::Tensor rows = take_padded_rows(arena, tokens, 5, 3, at::kFloat);
    EXPECT_EQ(columns_behind(rows), 3);
    rows.fill_(1.0);
    behind(rows, 2).fill_(2.0);
    const at::Tensor both = with_columns_behind(rows, 2);
    EXPECT_EQ(both.sum().item<double>(), static_cast<double>(tokens * (5 + 4)));
    EXPECT_TRUE(test::same_bits(both.narrow(1, 5, 2), behind(rows, 2)));
    EXPECT_TRUE(are_behind(rows, behind(rows, 2)) && are_behind(rows, behind(rows, 3)));
    EXPECT_FALSE(are_behind(rows, both.narrow(1, 6, 1)));
    EXPECT_FALSE(are_behind(rows, behind(rows, 2).clone()));
  }
}

TEST(PaddedRows, WithoutRoomAreContiguousAndSaySo) {
  Arena arena{c10::Device(at::kCPU)};
  const at::Tensor rows = take_padded_rows(arena, 4, 5, 0, at::kFloat);
  EXPECT_TRUE(rows.is_contiguous());
  EXPECT_EQ(columns_behind(rows), 0);
  EXPECT_EQ(test::internal_error_of([&] { (void)behind(rows, 2); }),
            "there are 0 columns behind rows [4, 5] Float, expected 2");
}

}  // namespace
}  // namespace weft::kernels
