#include "base/checked.h"

#include <gmock/gmock.h>

#include <cstdint>

#include "tests/support/caught.h"

namespace weft {
namespace {

using test::caught;
using ::testing::HasSubstr;

TEST(Checked, ArithmeticWithinRange) {
  EXPECT_EQ(checked_add<std::int64_t>(2, 3, "rows"), 5);
  EXPECT_EQ(checked_mul<std::uint64_t>(1U << 31, 2, "bytes"), std::uint64_t{1} << 32);
  EXPECT_EQ((checked_cast<std::int32_t>(std::int64_t{-5}, "id")), -5);
}

TEST(Checked, OverflowNamesTheThingAndTheNumbers) {
  const Error sum = caught([] { (void)checked_add<std::int8_t>(100, 100, "rows"); });
  EXPECT_EQ(sum.kind(), ErrorKind::kData);
  EXPECT_STREQ(sum.what(), "rows: 100 + 100 is too large for this program");
  const Error product =
      caught([] { (void)checked_mul<std::uint64_t>(std::uint64_t{1} << 63, 2, "bytes of w"); });
  EXPECT_STREQ(product.what(), "bytes of w: 9223372036854775808 x 2 is too large for this program");
}

TEST(Checked, CastOutOfRangeNamesTheRange) {
  const Error negative =
      caught([] { (void)checked_cast<std::uint64_t>(std::int64_t{-1}, "offset"); });
  EXPECT_STREQ(negative.what(), "offset: -1 is outside the range 0 to 18446744073709551615");
  const Error large = caught([] { (void)checked_cast<std::int16_t>(std::int64_t{40000}, "id"); });
  EXPECT_THAT(large.what(), HasSubstr("id: 40000 is outside the range -32768 to 32767"));
}

TEST(Errors, KindIsTheExitCode) {
  EXPECT_EQ(Error(ErrorKind::kConfig, "x").exit_code(), 2);
  EXPECT_EQ(caught([] { fail_data("{}: {}", "a", 1); }).exit_code(), 3);
  EXPECT_EQ(caught([] { fail(ErrorKind::kPeer, "rank {}", 1); }).exit_code(), 5);
  EXPECT_EQ(caught([] { fail_internal("x"); }).exit_code(), 70);
}

}  // namespace
}  // namespace weft
