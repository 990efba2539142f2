#include "data/tokenizer_nfc.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <string>

#include "data/tokenizer_utf8.h"

namespace weft::data {

namespace {

std::string compose(std::string_view text) {
  std::string buffer;
  return std::string(normalize_nfc(text, buffer));
}

std::string compose_by_library(const std::string& text) {
  auto* composed = utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str()));
  std::string result = reinterpret_cast<const char*>(composed);
  std::free(composed);
  return result;
}

TEST(Nfc, ComposesAndOrdersMarks) {
  EXPECT_EQ(compose("e\u0301"), "é");
  EXPECT_EQ(compose("xe\u0301y e\u0301"), "xéy é");
  EXPECT_EQ(compose("e\u0301\u0323"), "\u1EB9\u0301");
  EXPECT_EQ(compose("é\u0323"), "\u1EB9\u0301");
  EXPECT_EQ(compose("\u1112\u1161\u11AB"), "한");
  EXPECT_EQ(compose("\u212B \u0958"), "Å \u0915\u093C");
  EXPECT_EQ(compose("\u0301e"), "\u0301e");
}

TEST(Nfc, GivesComposedTextItselfBack) {
  for (const std::string_view text : {"", "plain ASCII text", "é 日本語 한국 😀", "naïve"}) {
    std::string buffer;
    EXPECT_EQ(normalize_nfc(text, buffer).data(), text.data());
  }
}

TEST(Nfc, LeavesBrokenBytesAlone) {
  EXPECT_EQ(compose("\xFF\u0301"), "\xFF\u0301");
  EXPECT_EQ(compose("e\xCC\xFF"
                    "e\u0301"),
            "e\xCC\xFFé");
}

TEST(Nfc, KeepsToTheUnicodeVersionOfTokenizers) {
  // A mark of Unicode 14: composing it by its class would move it before U+0301.
  EXPECT_EQ(compose("a\u0301\u089A\u0323"), "á\u089A\u0323");
  EXPECT_EQ(compose("\U00011935\U00011930"), "\U00011935\U00011930");
}

TEST(Nfc, AgreesWithTheLibraryOnRandomText) {
  constexpr std::uint32_t kBlocks[][2] = {{0x20, 0x80},     {0xC0, 0x250},     {0x300, 0x370},
                                          {0x591, 0x5C8},   {0x905, 0x94E},    {0x1100, 0x1200},
                                          {0x1E00, 0x2000}, {0x3041, 0x30FF},  {0xAC00, 0xAD00},
                                          {0xF900, 0xFB50}, {0x1D15E, 0x1D170}};
  std::mt19937 random(5);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (auto i = random() % 12; i > 0; --i) {
      const auto& block = kBlocks[random() % std::size(kBlocks)];
      append_utf8(text, static_cast<std::uint32_t>(block[0] + random() % (block[1] - block[0])));
    }
    ASSERT_EQ(compose(text), compose_by_library(text)) << text;
  }
}

TEST(Nfc, IsNotQuadraticInRunsOfMarks) {
  std::string text = "a";
  for (int i = 0; i < 300'000; ++i) text += "\u0301\u0323";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(compose(text).size(), text.size());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace

}  // namespace weft::data
