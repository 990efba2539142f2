#include "data/bpe_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "data/tokenizer_nfc.h"
#include "tests/data/tokenizer_test_support.h"

namespace weft::data {

namespace {

using Ids = std::vector<std::int32_t>;

std::string random_bytes(std::mt19937& random, std::size_t size) {
  std::string bytes;
  while (bytes.size() < size) bytes += static_cast<char>(random());
  return bytes;
}

void expect_rows(const Tokenizer& tokenizer, const std::vector<Json>& rows) {
  ASSERT_GT(rows.size(), 100u);
  for (const Json& row : rows) {
    const auto& text = row["text"].get_ref<const std::string&>();
    const Ids plain = row["plain"].get<Ids>();
    ASSERT_EQ(encode(tokenizer, text), plain) << text;
    ASSERT_EQ(encode(tokenizer, text, SpecialTokens::kParse),
              row.contains("parse") ? row["parse"].get<Ids>() : plain)
        << text;
    std::string buffer;
    ASSERT_EQ(tokenizer.decode(plain, false), normalize_nfc(text, buffer));
  }
}

TEST(BpeTokenizer, GivesTheIdsOfTokenizers) {
  expect_rows(tiny_tokenizer(), read_rows("tokenizer/tiny_bpe.jsonl"));
}

TEST(BpeTokenizer, GivesTheIdsOfTokenizersForQwen3) {
  const auto folder = real_tokenizer_folder();
  if (!folder) GTEST_SKIP() << "set WEFT_TEST_DATA to the folder that holds qwen3-tokenizer/";
  const auto tokenizer = load_tokenizer(posix_file_system(), *folder);
  EXPECT_EQ(tokenizer->vocab_size(), 151669);
  EXPECT_EQ(tokenizer->token_id("<|im_end|>"), 151645);
  expect_rows(*tokenizer, read_rows("tokenizer/qwen3_ids.jsonl"));
}

TEST(BpeTokenizer, AppendsToTheIdsThatAreThere) {
  Ids ids{7};
  tiny_tokenizer().encode("a", SpecialTokens::kPlain, ids);
  EXPECT_EQ(ids, (Ids{7, 64}));
  EXPECT_TRUE(encode(tiny_tokenizer(), "").empty());
}

TEST(BpeTokenizer, NamesOfSpecialTokensInTextStayText) {
  const std::string text = "a<|im_end|>\n<|im_start|>system<think>";
  const Ids plain = encode(tiny_tokenizer(), text);
  for (const std::int32_t id : plain) EXPECT_LT(id, 656);
  EXPECT_EQ(tiny_tokenizer().decode(plain, true), text);
  const Ids parsed = encode(tiny_tokenizer(), text, SpecialTokens::kParse);
  EXPECT_EQ(std::count_if(parsed.begin(), parsed.end(), [](auto id) { return id >= 656; }), 3);
  EXPECT_EQ(tiny_tokenizer().decode(parsed, false), text);
}

TEST(BpeTokenizer, SkipsSpecialTokensButNotTags) {
  const Ids ids =
      encode(tiny_tokenizer(), "<|im_start|>a<think>b<|im_end|>", SpecialTokens::kParse);
  EXPECT_EQ(tiny_tokenizer().decode(ids, true), "a<think>b");
  EXPECT_TRUE(tiny_tokenizer().is_special(*tiny_tokenizer().token_id("<|im_start|>")));
  EXPECT_FALSE(tiny_tokenizer().is_special(*tiny_tokenizer().token_id("<think>")));
  EXPECT_FALSE(tiny_tokenizer().token_id("a").has_value());
}

TEST(BpeTokenizer, RandomBytesComeBack) {
  std::mt19937 random(21);
  for (std::size_t size = 0; size < 400; ++size) {
    const std::string bytes = random_bytes(random, size);
    std::string buffer;
    const std::string composed(normalize_nfc(bytes, buffer));
    ASSERT_EQ(tiny_tokenizer().decode(encode(tiny_tokenizer(), bytes), false), composed);
  }
}

TEST(BpeTokenizer, TokenBytesAreTheTextInPieces) {
  const std::string text = "日本 é 😀 text";
  std::string joined;
  for (const std::int32_t id : encode(tiny_tokenizer(), text)) {
    joined += tiny_tokenizer().token_bytes(id);
  }
  EXPECT_EQ(joined, text);
  EXPECT_EQ(tiny_tokenizer().token_bytes(-1), "");
  EXPECT_EQ(tiny_tokenizer().token_bytes(1'000'000), "");
}

TEST(BpeTokenizer, TakesLongRunsInItsStride) {
  for (const std::string_view unit : {"a", " ", "in", "\u0301", "\xFF"}) {
    std::string text;
    while (text.size() < 2'000'000) text += unit;
    const auto start = std::chrono::steady_clock::now();
    const Ids ids = encode(tiny_tokenizer(), text, SpecialTokens::kParse);
    // Quadratic time would be hours.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(40)) << unit;
    EXPECT_EQ(tiny_tokenizer().decode(ids, false), text) << unit;
  }
}

TEST(BpeTokenizer, MayBeUsedByManyThreads) {
  const auto fresh = load_tokenizer(posix_file_system(), fixture("tokenizer/tiny_bpe"));
  const std::vector<Json> rows = read_rows("tokenizer/tiny_bpe.jsonl");
  std::vector<int> wrong(4, 0);
  {
    std::vector<std::jthread> threads;
    for (int& count : wrong) {
      threads.emplace_back([&] {
        for (const Json& row : rows) {
          const auto& text = row["text"].get_ref<const std::string&>();
          count += encode(*fresh, text) == row["plain"].get<Ids>() ? 0 : 1;
        }
      });
    }
  }
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(BpeTokenizer, FingerprintFollowsTheIds) {
  Json json = read_json(posix_file_system(), fixture("tokenizer/tiny_bpe/tokenizer.json"));
  const auto fingerprint = [&] {
    const fs::path folder = fs::path(testing::TempDir()) / "weft_bpe_fingerprint";
    fs::create_directories(folder);
    write_file(folder / "tokenizer.json", dump_json(json));
    const auto tokenizer = load_tokenizer(posix_file_system(), folder);
    fs::remove_all(folder);
    return tokenizer->sha256();
  };
  EXPECT_EQ(tiny_tokenizer().sha256().size(), 64u);
  json["padding"] = Json{{"strategy", "BatchLongest"}};
  EXPECT_EQ(fingerprint(), tiny_tokenizer().sha256());
  std::swap(json["model"]["merges"][0], json["model"]["merges"][1]);
  const std::string swapped = fingerprint();
  EXPECT_NE(swapped, tiny_tokenizer().sha256());
  json["added_tokens"][0]["id"] = 900;
  EXPECT_NE(fingerprint(), swapped);
}

TEST(ReplaceInvalidUtf8, FollowsTheUnicodeStandard) {
  EXPECT_EQ(replace_invalid_utf8("aé😀"), "aé😀");
  EXPECT_EQ(replace_invalid_utf8("\xFF\xFE"
                                 "a"),
            "\uFFFD\uFFFDa");
  EXPECT_EQ(replace_invalid_utf8("\xE2\x82"), "\uFFFD");
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\x98"
                                 "b"),
            "\uFFFDb");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(replace_invalid_utf8("\xF0\x80\x80"), "\uFFFD\uFFFD\uFFFD");
}

}  // namespace

}  // namespace weft::data
