#include "data/bpe_ideographs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "data/bpe_definition.h"
#include "data/tokenizer_utf8.h"
#include "tests/data/tokenizer_test_support.h"

namespace weft::data {

namespace {

using testing::ElementsAre;

std::vector<std::int32_t> spell(const BpeIdeographs& ideographs, const BpeVocabulary& vocabulary,
                                std::string_view word) {
  std::vector<std::int32_t> symbols{7};  // what was there before does not stay
  ideographs.spell(word, vocabulary, symbols);
  return symbols;
}

/// The 256 bytes under their own numbers, and tokens after them.
BpeVocabulary bytes_and(const std::vector<std::string>& more) {
  std::vector<BpeVocabulary::Token> tokens;
  for (std::int32_t id = 0; id < 256; ++id) {
    tokens.push_back({std::string(1, static_cast<char>(id)), id});
  }
  for (const std::string& token : more) {
    tokens.push_back({token, static_cast<std::int32_t>(tokens.size())});
  }
  return {tokens, "test"};
}

TEST(BpeIdeographs, TakesACharacterThatIsMadeBeforeItsPartsMeetNeighbours) {
  const BpeVocabulary vocabulary = bytes_and({"\xE4\xBA", "\xE4\xBA\xBA"});
  const std::vector<BpeMerge> merges{{0xE4, 0xBA, 256}, {256, 0xBA, 257}};
  const BpeIdeographs ideographs(vocabulary, merges);
  EXPECT_THAT(spell(ideographs, vocabulary, "人人"), ElementsAre(257, 257));
  // Beside other characters it may not be put: their bytes could want its parts.
  EXPECT_THAT(spell(ideographs, vocabulary, "a人"), ElementsAre('a', 0xE4, 0xBA, 0xBA));
  EXPECT_THAT(spell(ideographs, vocabulary, "人a"), ElementsAre(0xE4, 0xBA, 0xBA, 'a'));
  EXPECT_THAT(spell(ideographs, vocabulary, "人人\xE4"), ElementsAre(257, 0xE4, 0xBA, 0xBA, 0xE4));
  EXPECT_THAT(spell(ideographs, vocabulary, ""), ElementsAre());
}

TEST(BpeIdeographs, LeavesACharacterWhosePartANeighbourMayTakeFirst) {
  const BpeVocabulary vocabulary = bytes_and({"\xBA\xE4", "\xE4\xBA", "\xE4\xBA\xBA"});
  const std::vector<BpeMerge> merges{{0xBA, 0xE4, 256}, {0xE4, 0xBA, 257}, {257, 0xBA, 258}};
  const BpeIdeographs ideographs(vocabulary, merges);
  EXPECT_THAT(spell(ideographs, vocabulary, "人人"),
              ElementsAre(0xE4, 0xBA, 0xBA, 0xE4, 0xBA, 0xBA));
}

TEST(BpeIdeographs, GiveWhatMergesOfBytesGive) {
  const auto folder = real_tokenizer_folder();
  if (!folder) GTEST_SKIP() << "set WEFT_TEST_DATA to the folder that holds qwen3-tokenizer/";
  const BpeDefinition definition =
      read_tokenizer_json(posix_file_system(), *folder / "tokenizer.json");
  const BpeMerges merges(definition.merges);
  const BpeIdeographs ideographs(definition.vocabulary, definition.merges);
  std::mt19937 random(11);
  std::size_t shorter = 0;
  for (int round = 0; round < 60000; ++round) {
    std::string word;
    for (std::size_t length = 1 + random() % 24; length > 0; --length) {
      // Common and rare ideographs, and now and then what is none, or half of one.
      const std::uint32_t kind = random() % 16;
      append_utf8(word, kind == 0   ? 0x3000 + random() % 0x100
                        : kind == 1 ? 0x41 + random() % 0x100
                        : kind < 6  ? 0x4000 + random() % 0x6000
                                    : 0x4E00 + random() % 0x600);
      if (random() % 64 == 0) word.resize(word.size() - 1);
    }
    std::vector<std::int32_t> expected;
    for (const char byte : word) {
      expected.push_back(definition.vocabulary.byte_id(static_cast<std::uint8_t>(byte)));
    }
    std::vector<std::int32_t> found = spell(ideographs, definition.vocabulary, word);
    if (found.size() < expected.size()) ++shorter;
    merges.apply(expected);
    merges.apply(found);
    ASSERT_EQ(found, expected) << word;
  }
  EXPECT_GT(shorter, 30000u);  // the short cut is taken
}

}  // namespace

}  // namespace weft::data
