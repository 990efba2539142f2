#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "base/file_system.h"
#include "data/bpe_definition.h"
#include "tests/data/tokenizer_test_support.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft::data {

namespace {

using test::caught;
using test::TempFolder;
using testing::AllOf;
using testing::HasSubstr;

Json tiny_json() {
  return read_json(posix_file_system(), fixture("tokenizer/tiny_bpe/tokenizer.json"));
}

/// The message with which weft refuses the tiny tokenizer.json after `change`.
std::string refusal(const std::function<void(Json&)>& change) {
  const TempFolder folder;
  Json json = tiny_json();
  change(json);
  write_file(folder / "tokenizer.json", dump_json(json));
  const Error error = caught([&] { return load_tokenizer(posix_file_system(), folder.path()); });
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr("tokenizer.json"));
  return error.what();
}

std::string raw_refusal(std::string_view text) {
  const TempFolder folder;
  write_file(folder / "tokenizer.json", text);
  return caught([&] { return load_tokenizer(posix_file_system(), folder.path()); }).what();
}

TEST(TokenizerJson, IsRefusedWhenItIsNoJson) {
  EXPECT_THAT(raw_refusal("{\"model\": "), HasSubstr("not valid JSON"));
  EXPECT_THAT(raw_refusal("[]"), HasSubstr("expected an object with the key"));
  EXPECT_THAT(raw_refusal(std::string(100'000, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(raw_refusal("{\"model\": {}, \"model\": {}}"), HasSubstr("stands twice"));
  EXPECT_THAT(raw_refusal("{}"), HasSubstr("\"model\""));
}

TEST(TokenizerJson, OtherKindsAreRefusedByName) {
  EXPECT_THAT(refusal([](Json& j) { j["model"]["type"] = "WordPiece"; }),
              AllOf(HasSubstr("the model is WordPiece"), HasSubstr("BPE")));
  EXPECT_THAT(refusal([](Json& j) { j["model"]["byte_fallback"] = true; }),
              HasSubstr("BPE with byte_fallback"));
  EXPECT_THAT(refusal([](Json& j) { j["model"]["ignore_merges"] = true; }),
              HasSubstr("BPE with ignore_merges"));
  EXPECT_THAT(refusal([](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }),
              HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(refusal([](Json& j) { j["model"]["dropout"] = 0.1; }), HasSubstr("dropout"));
  EXPECT_THAT(refusal([](Json& j) {
                j["normalizer"] = Json{{"type", "Lowercase"}};
              }),
              HasSubstr("the normalizer is Lowercase"));
  EXPECT_THAT(refusal([](Json& j) {
                j["pre_tokenizer"] = Json{{"type", "Whitespace"}};
              }),
              HasSubstr("the pre_tokenizer is Whitespace"));
  EXPECT_THAT(refusal([](Json& j) { j["pre_tokenizer"] = nullptr; }),
              HasSubstr("the pre_tokenizer is null"));
  EXPECT_THAT(refusal([](Json& j) {
                j["decoder"] = Json{{"type", "Metaspace"}};
              }),
              HasSubstr("the decoder is Metaspace"));
}

TEST(TokenizerJson, OtherSplitsAreRefused) {
  const auto steps = [](Json& j) -> Json& { return j["pre_tokenizer"]["pretokenizers"]; };
  // Exponential in a backtracking engine.
  EXPECT_THAT(refusal([&](Json& j) { steps(j)[0]["pattern"]["Regex"] = "(a+)+$"; }),
              HasSubstr("the split pattern is (a+)+$"));
  EXPECT_THAT(refusal([&](Json& j) { steps(j)[0]["behavior"] = "Removed"; }), HasSubstr("Removed"));
  EXPECT_THAT(refusal([&](Json& j) { steps(j)[0]["invert"] = true; }), HasSubstr("inverted"));
  EXPECT_THAT(refusal([&](Json& j) { steps(j)[0]["type"] = "Digits"; }),
              HasSubstr("first step of the pre_tokenizer is Digits"));
  EXPECT_THAT(refusal([&](Json& j) { steps(j)[1]["use_regex"] = true; }),
              HasSubstr("ByteLevel with use_regex"));
  EXPECT_THAT(refusal([&](Json& j) { steps(j).erase(1); }), HasSubstr("other than two steps"));
}

TEST(TokenizerJson, BadVocabulariesAreRefused) {
  const auto vocab = [](Json& j) -> Json& { return j["model"]["vocab"]; };
  EXPECT_THAT(refusal([&](Json& j) { vocab(j) = Json::array(); }), HasSubstr("not a JSON object"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)["in"] = "7"; }), HasSubstr("not an integer"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)["in"] = -1; }), HasSubstr("has id -1, outside 0"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)["in"] = std::int64_t{1} << 40; }),
              HasSubstr("outside 0 to 4194303"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)["in"] = ~std::uint64_t{0}; }),
              HasSubstr("has id 18446744073709551615, outside"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)["\""] = 0; }), AllOf(HasSubstr("both have id 0")));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)["a b"] = 700; }), HasSubstr("byte characters"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)[""] = 700; }), HasSubstr("is empty"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j).erase("\u0120"); }),
              HasSubstr("no token for the byte 0x20"));
}

TEST(TokenizerJson, BadMergesAreRefused) {
  const auto merges = [](Json& j) -> Json& { return j["model"]["merges"]; };
  EXPECT_THAT(refusal([&](Json& j) {
                merges(j)[3] = Json{"qqq", "a"};
              }),
              AllOf(HasSubstr("merge 3 (qqq a)"), HasSubstr("no token qqq")));
  EXPECT_THAT(refusal([&](Json& j) { merges(j)[3] = "z q"; }),
              AllOf(HasSubstr("merge 3 (z q)"), HasSubstr("no token zq")));
  EXPECT_THAT(refusal([&](Json& j) { merges(j)[3] = "zq"; }), HasSubstr("a space between"));
  EXPECT_THAT(refusal([&](Json& j) { merges(j)[3] = 5; }), HasSubstr("neither a string nor"));
  EXPECT_THAT(refusal([&](Json& j) { merges(j)[3] = merges(j)[2]; }), HasSubstr("stands twice"));
  EXPECT_THAT(refusal([&](Json& j) { merges(j) = 5; }), HasSubstr("must be a list"));
}

TEST(TokenizerJson, BadAddedTokensAreRefused) {
  const auto added = [](Json& j) -> Json& { return j["added_tokens"]; };
  EXPECT_THAT(refusal([&](Json& j) { added(j)[1]["id"] = 656; }), HasSubstr("both have id 656"));
  EXPECT_THAT(refusal([&](Json& j) { added(j)[1]["content"] = "<|endoftext|>"; }),
              HasSubstr("stands twice"));
  EXPECT_THAT(refusal([&](Json& j) { added(j)[1]["content"] = ""; }),
              HasSubstr("a name of 0 bytes"));
  EXPECT_THAT(refusal([&](Json& j) { added(j)[1]["lstrip"] = true; }), HasSubstr("lstrip"));
  EXPECT_THAT(refusal([&](Json& j) { added(j)[1]["id"] = 5; }),
              HasSubstr("which is the id of the token"));
  EXPECT_THAT(refusal([&](Json& j) { added(j)[1]["content"] = "a"; }),
              HasSubstr("in the vocabulary it has id"));
  EXPECT_THAT(refusal([&](Json& j) { added(j)[1]["id"] = 1e3; }), HasSubstr("integer"));
  EXPECT_THAT(refusal([&](Json& j) {
                for (int i = 0; i < 100'001; ++i) {
                  Json token = added(j)[0];
                  token["id"] = 1000 + i;
                  token["content"] = "<t" + std::to_string(i) + ">";
                  added(j).push_back(std::move(token));
                }
              }),
              HasSubstr("more than the 100000"));
}

TEST(TokenizerJson, GapsInTheIdsAreAllowed) {
  const TempFolder folder;
  Json json = tiny_json();
  json["added_tokens"][0]["id"] = 5000;
  write_file(folder / "tokenizer.json", dump_json(json));
  const auto tokenizer = load_tokenizer(posix_file_system(), folder.path());
  EXPECT_EQ(tokenizer->vocab_size(), 5001);
  EXPECT_EQ(tokenizer->token_bytes(5000), "<|endoftext|>");
  EXPECT_EQ(tokenizer->token_bytes(4000), "");
  EXPECT_EQ(tokenizer->decode(std::vector<std::int32_t>{4000, -3, 1 << 30, 64}, false), "a");
}

/// A folder of the older form, which a test then damages.
class VocabFiles : public testing::Test {
 protected:
  VocabFiles() {
    for (const char* name : {"vocab.json", "merges.txt", "tokenizer_config.json"}) {
      fs::copy_file(fixture("tokenizer/tiny_bpe") / name, folder_ / name);
    }
  }

  std::string refusal() const {
    return caught([&] { return load_tokenizer(posix_file_system(), folder_.path()); }).what();
  }

  void change_config(const std::function<void(Json&)>& change) const {
    Json json = read_json(posix_file_system(), folder_ / "tokenizer_config.json");
    change(json);
    write_file(folder_ / "tokenizer_config.json", dump_json(json));
  }

  TempFolder folder_;
};

TEST_F(VocabFiles, GiveTheTokenizerOfTokenizerJson) {
  const auto tokenizer = load_tokenizer(posix_file_system(), folder_.path());
  EXPECT_EQ(tokenizer->sha256(), tiny_tokenizer().sha256());
  for (const Json& row : read_rows("tokenizer/tiny_bpe.jsonl")) {
    const auto& text = row["text"].get_ref<const std::string&>();
    ASSERT_EQ(encode(*tokenizer, text, SpecialTokens::kParse),
              encode(tiny_tokenizer(), text, SpecialTokens::kParse));
  }
}

TEST_F(VocabFiles, AreAllNeeded) {
  fs::remove(folder_ / "merges.txt");
  EXPECT_THAT(refusal(), HasSubstr("merges.txt"));
  fs::remove(folder_ / "tokenizer_config.json");
  EXPECT_THAT(refusal(), HasSubstr("tokenizer_config.json"));
  fs::remove(folder_ / "vocab.json");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("holds no tokenizer"), HasSubstr("tokenizer.model")));
}

TEST_F(VocabFiles, OfOtherModelsAreRefusedByName) {
  change_config([](Json& j) { j["tokenizer_class"] = "GPT2Tokenizer"; });
  EXPECT_THAT(refusal(), HasSubstr("the tokenizer_class is GPT2Tokenizer"));
}

TEST_F(VocabFiles, WithBadAddedTokensAreRefused) {
  change_config([](Json& j) { j["added_tokens_decoder"]["x7"] = Json{{"content", "<x>"}}; });
  EXPECT_THAT(refusal(), HasSubstr("the key x7"));
  change_config([](Json& j) { j.erase("added_tokens_decoder"); });
  EXPECT_THAT(refusal(), HasSubstr("\"added_tokens_decoder\""));
}

TEST_F(VocabFiles, MergesThatAreNotMergesAreRefused) {
  write_file(folder_ / "merges.txt", "#version: 0.2\r\ni n\r\n#comment\r\n");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("merges.txt"), HasSubstr("merge")));
}

TEST(LoadTokenizer, NeedsAFolder) {
  EXPECT_THAT(
      caught([] { return load_tokenizer(posix_file_system(), "/nonexistent/model"); }).what(),
      HasSubstr("/nonexistent/model: is not a folder"));
}

TEST(TokenizerFiles, AreThoseThatAreThere) {
  EXPECT_THAT(
      tokenizer_files(posix_file_system(), fixture("tokenizer/tiny_bpe")),
      testing::ElementsAre("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"));
}

}  // namespace

}  // namespace weft::data
