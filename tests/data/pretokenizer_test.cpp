#include "data/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pcre2.h>

#include <array>
#include <chrono>
#include <random>
#include <string>
#include <vector>

namespace weft::data {

namespace {

using Pieces = std::vector<std::string>;

Pieces split_qwen(std::string_view text) {
  Pieces pieces;
  for (QwenSplitter splitter(text); !splitter.done();) pieces.emplace_back(splitter.next());
  return pieces;
}

/// The pattern as its file spells it, run by a regular expression library.
class PatternOracle {
 public:
  PatternOracle() {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_ =
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kQwenSplitPattern.data()),
                      kQwenSplitPattern.size(), PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
    match_ = pcre2_match_data_create(4, nullptr);
  }
  ~PatternOracle() {
    pcre2_match_data_free(match_);
    pcre2_code_free(code_);
  }
  PatternOracle(const PatternOracle&) = delete;
  PatternOracle& operator=(const PatternOracle&) = delete;

  Pieces split(const std::string& text) const {
    Pieces pieces;
    for (std::size_t at = 0; at < text.size();) {
      const int count = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                    at, 0, match_, nullptr);
      const PCRE2_SIZE* place = pcre2_get_ovector_pointer(match_);
      if (count < 1 || place[0] != at) {
        ADD_FAILURE() << "no match at byte " << at << " of " << text;
        return pieces;
      }
      pieces.push_back(text.substr(at, place[1] - at));
      at = place[1];
    }
    return pieces;
  }

 private:
  pcre2_code* code_ = nullptr;
  pcre2_match_data* match_ = nullptr;
};

TEST(QwenSplitter, CutsWordsNumbersAndPunctuation) {
  EXPECT_EQ(split_qwen("Hello world, it's 42!\n\nOK"),
            (Pieces{"Hello", " world", ",", " it", "'s", " ", "4", "2", "!\n\n", "OK"}));
}

TEST(QwenSplitter, LeavesTheLastSpaceOfARunToTheWord) {
  EXPECT_EQ(split_qwen("a   b"), (Pieces{"a", "  ", " b"}));
  EXPECT_EQ(split_qwen("a \n  b  "), (Pieces{"a", " \n", " ", " b", "  "}));
  EXPECT_EQ(split_qwen("a\t(b"), (Pieces{"a", "\t", "(b"}));
}

TEST(QwenSplitter, KnowsContractionsInAnyCase) {
  EXPECT_EQ(split_qwen("I'Ll we'RE x'\u017Fy 'v"),
            (Pieces{"I", "'Ll", " we", "'RE", " x", "'\u017F", "y", " '", "v"}));
}

TEST(QwenSplitter, TakesOneCharacterBeforeLetters) {
  EXPECT_EQ(split_qwen("(日本"), (Pieces{"(日本"}));
  EXPECT_EQ(split_qwen("((a"), (Pieces{"((", "a"}));
}

TEST(QwenSplitter, CountsBrokenBytesAsSymbols) {
  EXPECT_EQ(split_qwen("a\xFF\xC3 b\xE2\x82"), (Pieces{"a", "\xFF\xC3", " b", "\xE2\x82"}));
}

TEST(QwenSplitter, AgreesWithThePatternOnRandomText) {
  const PatternOracle oracle;
  const std::array<std::string, 33> parts{
      "a",  "Z", "é",      "日",     "s",      "S",      "'",      "'",  "l", "re",   "0",
      "٣",  "½", " ",      " ",      "  ",     "\t",     "\n",     "\r", "!", "(",    "…",
      "\v", "ſ", "\u00A0", "\u3000", "\u0301", "\u200B", "\u2028", "😀",  "_", "\x1C", "\u0085"};
  std::mt19937 random(11);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (auto i = random() % 12; i > 0; --i) text += parts[random() % parts.size()];
    ASSERT_EQ(split_qwen(text), oracle.split(text)) << text;
  }
}

TEST(QwenSplitter, PiecesOfRandomBytesAreTheText) {
  std::mt19937 random(12);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (auto i = random() % 80; i > 0; --i) text += static_cast<char>(random());
    std::string joined;
    for (const std::string& piece : split_qwen(text)) joined += piece;
    ASSERT_EQ(joined, text);
  }
}

TEST(QwenSplitter, IsLinearInLongRuns) {
  for (const std::string& unit : {std::string("a"), std::string(" "), std::string("!"),
                                  std::string(" \t"), std::string("\u3000"), std::string("\xFF")}) {
    std::string text;
    for (int i = 0; i < 1'000'000; ++i) text += unit;
    const auto start = std::chrono::steady_clock::now();
    const Pieces pieces = split_qwen(text);
    // Quadratic time would be hours.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
    EXPECT_LE(pieces.size(), 2u);
  }
}

}  // namespace

}  // namespace weft::data
