#include "data/sentencepiece_convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "data/tokenizer_diff.h"
#include "tests/data/tokenizer_test_support.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft::data {

namespace {

using test::caught;
using testing::ElementsAre;
using testing::HasSubstr;

BpeDefinition tiny_definition() {
  return read_bpe_folder(posix_file_system(), fixture("tokenizer/tiny_bpe"));
}

void expect_same_ids(const SpelledSentencePiece& converted, const Tokenizer& tokenizer,
                     std::string_view text) {
  ASSERT_EQ(converted.encode(text), encode(tokenizer, text)) << text;
}

TEST(SentencePieceConvert, SpellsBytes) {
  EXPECT_EQ(spell_bytes(" a\n\xFF"), "Ġa\u010A\u00FF");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    EXPECT_EQ(unspell_bytes(spell_bytes(text)), text);
  }
}

TEST(SentencePieceConvert, GivesTheSameIds) {
  const BpeDefinition definition = tiny_definition();
  const SpelledSentencePiece converted(convert_to_sentencepiece(definition, "tiny"), true, "tiny");
  for (const Json& row : read_rows("tokenizer/tiny_bpe.jsonl")) {
    EXPECT_EQ(converted.encode(row["text"].get<std::string>()),
              row["plain"].get<std::vector<std::int32_t>>());
  }
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(1 + random() % 60, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    expect_same_ids(converted, tiny_tokenizer(), bytes);
  }
}

TEST(SentencePieceConvert, GivesTheSameIdsForQwen3) {
  const auto folder = real_tokenizer_folder();
  if (!folder) GTEST_SKIP() << "set WEFT_TEST_DATA to the folder that holds qwen3-tokenizer/";
  const BpeDefinition definition = read_bpe_folder(posix_file_system(), *folder);
  const auto tokenizer = load_tokenizer(posix_file_system(), *folder);
  const SpelledSentencePiece converted(convert_to_sentencepiece(definition, "qwen3"), true,
                                       "qwen3");
  for (const Json& row : read_rows("tokenizer/qwen3_ids.jsonl")) {
    EXPECT_EQ(converted.encode(row["text"].get<std::string>()),
              row["plain"].get<std::vector<std::int32_t>>());
  }
  std::istringstream lines(
      read_file(posix_file_system(), folder->parent_path() / "gsm8k" / "test.jsonl"));
  for (std::string line; std::getline(lines, line);) expect_same_ids(converted, *tokenizer, line);
}

TEST(SentencePieceConvert, AConvertedModelIsNotLoadedAsAnOrdinaryOne) {
  const test::TempFolder folder;
  write_file(folder / "tokenizer.model", convert_to_sentencepiece(tiny_definition(), "tiny"));
  const Error error = caught([&] { (void)load_tokenizer(posix_file_system(), folder.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr("use the tokenizer.json that it came from"));
}

TEST(SentencePieceConvert, RefusesATokenOfTwoMerges) {
  BpeDefinition definition = tiny_definition();
  BpeMerge again = definition.merges.back();
  std::swap(again.left, again.right);
  definition.merges.push_back(again);
  EXPECT_THAT(caught([&] { (void)convert_to_sentencepiece(definition, "it"); }).what(),
              HasSubstr("it: two merges make the token"));
}

TEST(SentencePieceConvert, AFolderWithoutABpeIsRefused) {
  const test::TempFolder folder;
  EXPECT_THAT(caught([&] { (void)read_bpe_folder(posix_file_system(), folder.path()); }).what(),
              HasSubstr("holds no byte-level BPE"));
}

/// A copy of the tiny tokenizer without its last merge.
std::unique_ptr<Tokenizer> with_one_merge_less(const test::TempFolder& folder, std::string& lost) {
  Json json = read_json(posix_file_system(), fixture("tokenizer/tiny_bpe/tokenizer.json"));
  Json& merges = json["model"]["merges"];
  const Json last = merges.back();
  lost = last.is_string() ? last.get<std::string>()
                          : last[0].get<std::string>() + " " + last[1].get<std::string>();
  lost.erase(lost.find(' '), 1);
  merges.erase(merges.size() - 1);
  write_file(folder / "tokenizer.json", dump_json(json));
  return load_tokenizer(posix_file_system(), folder.path());
}

TEST(TokenizerDiff, SaysWhereTextsAreCutDifferently) {
  const test::TempFolder folder;
  std::string lost;
  const auto other = with_one_merge_less(folder, lost);
  const std::string token = *unspell_bytes(lost);
  const std::string text = "1" + token + "1";
  const auto parts = diff_text(tiny_tokenizer(), *other, text, SpecialTokens::kPlain);
  std::string first;
  std::vector<TextDiffPart> different;
  for (const TextDiffPart& part : parts) {
    for (const std::string& piece : part.first) first += piece;
    if (!part.same()) different.push_back(part);
  }
  EXPECT_EQ(first, text);
  ASSERT_EQ(different.size(), 1u);
  EXPECT_LT(different[0].first.size(), different[0].second.size());
  for (const TextDiffPart& part :
       diff_text(tiny_tokenizer(), tiny_tokenizer(), text, SpecialTokens::kPlain)) {
    EXPECT_TRUE(part.same());
    EXPECT_EQ(part.first.size(), 1u);
  }
  EXPECT_TRUE(diff_text(tiny_tokenizer(), *other, "", SpecialTokens::kPlain).empty());
}

TEST(TokenizerDiff, ComparesVocabularies) {
  const VocabularyDiff none = diff_vocabularies(tiny_tokenizer(), tiny_tokenizer());
  EXPECT_EQ(none.same, tiny_tokenizer().vocab_size());
  EXPECT_EQ(none.moved, 0);
  const test::TempFolder folder;
  Json json = read_json(posix_file_system(), fixture("tokenizer/tiny_bpe/tokenizer.json"));
  json["added_tokens"].back()["content"] = "<new>";
  write_file(folder / "tokenizer.json", dump_json(json));
  const auto other = load_tokenizer(posix_file_system(), folder.path());
  const VocabularyDiff diff = diff_vocabularies(tiny_tokenizer(), *other);
  EXPECT_THAT(diff.only_second, ElementsAre("<new>"));
  EXPECT_EQ(diff.only_first.size(), 1u);
  EXPECT_EQ(diff.same, none.same - 1);
}

}  // namespace

}  // namespace weft::data
