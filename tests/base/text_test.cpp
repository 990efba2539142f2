#include "base/text.h"

#include <gmock/gmock.h>

namespace weft {
namespace {

using ::testing::ElementsAre;

TEST(NearestName, FindsTypingErrors) {
  const std::vector<std::string> names = {"learning_rate", "lora_rank", "lora_alpha", "seed"};
  EXPECT_EQ(nearest_name("learning_rat", names), "learning_rate");
  EXPECT_EQ(nearest_name("laerning_rate", names), "learning_rate");  // neighbours swapped
  EXPECT_EQ(nearest_name("lora_rnak", names), "lora_rank");
  EXPECT_EQ(nearest_name("sed", names), "seed");
}

TEST(NearestName, GivesNothingWhenNothingIsNear) {
  const std::vector<std::string> names = {"learning_rate", "lr"};
  EXPECT_EQ(nearest_name("gradient_checkpointing", names), "");
  EXPECT_EQ(nearest_name("xy", names), "");  // distance 2, but not a letter in common
  EXPECT_EQ(nearest_name("lr", {}), "");
}

TEST(NearestName, ATranspositionIsOneStep) {
  // "ab" -> "ba" costs 1, so it wins over "abcd" at 2.
  const std::vector<std::string> names = {"abxx", "ba"};
  EXPECT_EQ(nearest_name("ab", names), "ba");
}

TEST(HumanBytes, PicksTheUnit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(812), "812 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.0 KiB");
  EXPECT_EQ(human_bytes((std::uint64_t{1} << 20) - 1), "1.0 MiB");
  EXPECT_EQ(human_bytes(std::uint64_t{3} << 29), "1.5 GiB");
  EXPECT_EQ(human_bytes(~std::uint64_t{0}), "16.0 EiB");
}

TEST(HumanCount, KeepsThreeDigits) {
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(950), "950");
  EXPECT_EQ(human_count(999.7), "1.00k");
  EXPECT_EQ(human_count(12'345), "12.3k");
  EXPECT_EQ(human_count(9'996), "10.0k");
  EXPECT_EQ(human_count(123'456), "123k");
  EXPECT_EQ(human_count(999'999), "1.00M");
  EXPECT_EQ(human_count(4.02e9), "4.02B");
  EXPECT_EQ(human_count(-1500), "-1.50k");
}

TEST(HumanDuration, HoursAppearWhenNeeded) {
  EXPECT_EQ(human_duration(0), "0:00");
  EXPECT_EQ(human_duration(42), "0:42");
  EXPECT_EQ(human_duration(59.6), "1:00");
  EXPECT_EQ(human_duration(3723), "1:02:03");
  EXPECT_EQ(human_duration(360'000), "100:00:00");
  EXPECT_EQ(human_duration(-1), "0:00");
  EXPECT_EQ(human_duration(1e300), "?");
}

TEST(Utf8, AcceptsWellFormedText) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("plain"));
  EXPECT_TRUE(is_utf8("é 漢 😀 \xF4\x8F\xBF\xBF"));
  EXPECT_TRUE(is_utf8("\xEF\xBF\xBF"));
}

TEST(Utf8, RefusesIllFormedText) {
  EXPECT_FALSE(is_utf8("\x80"));
  EXPECT_FALSE(is_utf8("\xC0\xAF"));          // overlong '/'
  EXPECT_FALSE(is_utf8("\xE0\x9F\xBF"));      // overlong
  EXPECT_FALSE(is_utf8("\xF0\x8F\xBF\xBF"));  // overlong
  EXPECT_FALSE(is_utf8("\xED\xA0\x80"));      // surrogate
  EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80"));  // past U+10FFFF
  EXPECT_FALSE(is_utf8("\xF5\x80\x80\x80"));
  EXPECT_FALSE(is_utf8("a\xE6\xBC"));  // cut
}

TEST(IncompleteUtf8Suffix, CountsOnlyWhatMayStillBecomeACharacter) {
  EXPECT_EQ(incomplete_utf8_suffix(""), 0U);
  EXPECT_EQ(incomplete_utf8_suffix("abc"), 0U);
  EXPECT_EQ(incomplete_utf8_suffix("漢"), 0U);
  EXPECT_EQ(incomplete_utf8_suffix("a\xE6"), 1U);
  EXPECT_EQ(incomplete_utf8_suffix("a\xE6\xBC"), 2U);
  EXPECT_EQ(incomplete_utf8_suffix("\xF0\x9F\x98"), 3U);
  EXPECT_EQ(incomplete_utf8_suffix("\x80"), 0U);  // never begins a character
  EXPECT_EQ(incomplete_utf8_suffix("\x80\x80\x80"), 0U);
  EXPECT_EQ(incomplete_utf8_suffix("\xED\xA0"), 0U);  // a surrogate: broken already
  EXPECT_EQ(incomplete_utf8_suffix("\xFF"), 0U);
}

TEST(Printable, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(printable("plain é"), "plain é");
  EXPECT_EQ(printable("a\x1b[31m\n"), "a\\x1b[31m\\x0a");
  EXPECT_EQ(printable("\xFF\x80z"), "\\xff\\x80z");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(printable("\xC2\x9B"), "\\u009b");
}

TEST(Printable, CutsBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 3), "abc…");
  EXPECT_EQ(printable("漢漢", 4), "漢…");
  EXPECT_EQ(printable("abc", 3), "abc");
}

TEST(SplitAndJoin, KeepEmptyParts) {
  EXPECT_THAT(split("a,,b,", ','), ElementsAre("a", "", "b", ""));
  EXPECT_THAT(split("", ','), ElementsAre(""));
  const std::vector<std::string> parts = {"a", "", "b"};
  EXPECT_EQ(join(parts, ", "), "a, , b");
  EXPECT_EQ(join({}, ","), "");
}

}  // namespace
}  // namespace weft
