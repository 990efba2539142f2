// Rows of every shape as documents in shards.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "reader_test_support.h"
#include "tokenize_folder_test.h"

namespace weft::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

/// Rows of every shape, `count` of each, no two the same.
std::map<std::string, std::string> rows_of_all_shapes(int count) {
  std::map<std::string, std::string> rows;
  for (int i = 0; i < count; ++i) {
    const std::string n = std::to_string(i) + std::string(static_cast<std::size_t>(i % 40), 'x');
    rows["text.txt"] += n + "\n";
    rows["text.jsonl"] += "{\"text\": \"" + n + "\"}\n";
    rows["table.csv"] += (i == 0 ? "instruction,output\n" : "") + n + ",\"a " + n + "\"\n";
    rows["chat.jsonl"] += R"({"messages": [{"role": "user", "content": "q"}, )"
                          R"({"role": "assistant", "content": ")" +
                          n + "\"}]}\n";
    rows["sharegpt.jsonl"] += R"({"conversations": [{"from": "human", "value": "q"}, )"
                              R"({"from": "gpt", "value": ")" +
                              n + "\"}]}\n";
    rows["alpaca.jsonl"] += R"({"instruction": "q", "output": ")" + n + "\"}\n";
    rows["completion.jsonl"] += R"({"prompt": "q", "completion": ")" + n + "\"}\n";
    rows["preference.jsonl"] +=
        R"({"prompt": "q", "chosen": "c)" + n + R"(", "rejected": "r)" + n + "\"}\n";
    rows["kto.jsonl"] += R"({"prompt": "q", "completion": ")" + n + R"(", "label": )" +
                         (i % 2 == 0 ? "true}\n" : "false}\n");
    rows["ids.jsonl"] += fmt::format("{{\"ids\": [1, {}, {}], \"labels\": [-100, {}, -100]}}\n",
                                     i % 200, i / 200, i % 200);
  }
  return rows;
}

class TokenizeShapesTest : public TokenizeFolderTest {
 protected:
  ShardSet shards() { return ShardSet(files_, out(), {.tokenizer_sha256 = tokenizer_.sha256()}); }

  /// The part of a document that is trained, as text.
  std::string target(const Document& document) {
    std::string text;
    for (std::size_t i = 0; i < document.ids.size(); ++i) {
      if (document.mask[i] != 0) {
        text += tokenizer_.token_bytes(document.ids[i]);
      }
    }
    return text;
  }
};

TEST_F(TokenizeShapesTest, TheShardsOfEveryShapeDoNotDependOnTheNumberOfThreads) {
  for (const auto& [name, rows] : rows_of_all_shapes(300)) {
    std::vector<std::vector<ShardEntry>> made;
    for (const int threads : {1, 2, 3}) {
      fs::remove_all(out());
      TokenizeOptions options;
      options.threads = threads;
      options.shards.shard_tokens = 5000;
      options.deduplicate = true;
      options.split = ValidationSplit{.size = 0.3, .validation = threads == 9};
      made.push_back(tokenize({input(name, rows)}, options).manifest.shards);
    }
    EXPECT_EQ(made[0], made[1]) << name;
    EXPECT_EQ(made[0], made[2]) << name;
  }
}

TEST_F(TokenizeShapesTest, OnlyTheCompletionIsTrainedAndTheEndAfterIt) {
  (void)tokenize({input("a.jsonl", R"({"prompt": "ask ", "completion": "tell"})")});
  const auto all = documents();
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].ids, byte_ids("ask tell<|endoftext|>"));
  EXPECT_THAT(all[0].mask, ElementsAre(0, 0, 0, 0, 1, 1, 1, 1, 1));
}

TEST_F(TokenizeShapesTest, OfConversationsTheAnswerAfterThePromptIsTrainedAlone) {
  const std::string prompt = R"([{"role": "user", "content": "a"}, )"
                             R"({"role": "assistant", "content": "earlier"}, )"
                             R"({"role": "user", "content": "b"}])";
  const auto answer = [](const std::string& text) {
    return R"([{"role": "assistant", "content": ")" + text + "\"}]";
  };
  (void)tokenize(
      {input("a.jsonl", "{\"prompt\": " + prompt + ", \"completion\": " + answer("one") + "}"),
       input("b.jsonl", "{\"prompt\": " + prompt + ", \"chosen\": " + answer("two") +
                            ", \"rejected\": " + answer("three") + "}"),
       input("c.jsonl", "{\"prompt\": " + prompt + ", \"completion\": " + answer("four") +
                            ", \"label\": true}")});
  const auto all = documents();
  ASSERT_THAT(all, SizeIs(4));
  const std::vector<std::string> answers{"one", "two", "three", "four"};
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_THAT(target(all[i]), testing::HasSubstr(answers[i]));
    EXPECT_THAT(target(all[i]), testing::Not(HasSubstr("earlier")));
    EXPECT_THAT(tokenizer_.decode(all[i].ids, false), HasSubstr("earlier"));
  }
}

TEST_F(TokenizeShapesTest, PairsLieTogetherInOneShardChosenFirst) {
  TokenizeOptions options;
  options.shards.shard_tokens = 25;  // a pair and a half
  (void)tokenize({input("a.txt", "single\n"),
                  input("b.jsonl", R"({"prompt": "p", "chosen": "c1", "rejected": "r1"})"
                                   "\n"
                                   R"({"prompt": "p", "chosen": "chosen2", "rejected": "r2"})"
                                   "\n"
                                   R"({"prompt": "p", "chosen": "c3", "rejected": "rejected3"})")},
                 options);
  const ShardSet set = shards();
  EXPECT_GT(set.manifest().shards.size(), 1u);
  ASSERT_EQ(set.documents(), 7);
  EXPECT_TRUE(set.has_pairs());
  EXPECT_EQ(set.rejected(0), -1);
  for (std::int64_t i = 1; i < 7; ++i) {
    EXPECT_EQ(set.rejected(i), i % 2 == 1 ? i + 1 : -1) << i;
  }
  const auto all = documents();
  EXPECT_EQ(target(all[3]), "chosen2");
  EXPECT_EQ(target(all[4]), "r2");
}

TEST_F(TokenizeShapesTest, ThePairIsDroppedWholeOrCutWhole) {
  const std::string rows = R"({"prompt": "p", "chosen": "c", "rejected": "much too long"})"
                           "\n"
                           R"({"prompt": "p", "chosen": "c", "rejected": "r"})";
  for (const Overlong overlong : {Overlong::kDrop, Overlong::kSplit}) {
    fs::remove_all(out());
    TokenizeOptions options;
    options.max_length = 5;
    options.overlong = overlong;
    const SourceCounts counts = tokenize({input("a.jsonl", rows)}, options).manifest.sources[0];
    EXPECT_EQ(counts.kept.documents, 2);
    EXPECT_EQ(counts.overlong_dropped, 1);
    EXPECT_EQ(counts.tokens_lost, 3 + 15);
  }
  fs::remove_all(out());
  TokenizeOptions options;
  options.max_length = 5;
  options.overlong = Overlong::kTruncate;
  const SourceCounts counts = tokenize({input("a.jsonl", rows)}, options).manifest.sources[0];
  EXPECT_EQ(counts.kept.documents, 4);
  EXPECT_EQ(counts.truncated, 1);
}

TEST_F(TokenizeShapesTest, TheChosenAnswersAloneAreAnyOtherText) {
  TokenizeInput pairs = input("a.jsonl", R"({"prompt": "p", "chosen": "c", "rejected": "r"})");
  pairs.preference = "chosen";
  (void)tokenize({pairs});
  EXPECT_FALSE(shards().has_pairs());
  EXPECT_THAT(texts(), ElementsAre("pc"));
}

TEST_F(TokenizeShapesTest, JudgementsAreKeptBesideTheDocuments) {
  (void)tokenize({input("a.jsonl", R"({"prompt": "p", "completion": "a", "label": true})"
                                   "\n"
                                   R"({"prompt": "p", "completion": "b", "label": false})"),
                  input("b.txt", "text\n")});
  const ShardSet set = shards();
  EXPECT_TRUE(set.has_labels());
  EXPECT_EQ(set.label(0), Document::kDesirable);
  EXPECT_EQ(set.label(1), Document::kUndesirable);
  EXPECT_EQ(set.label(2), Document::kNoLabel);
}

TEST_F(TokenizeShapesTest, TheFormatOverridesTheGuess) {
  TokenizeInput rows =
      input("a.jsonl", R"({"text": "t", "instruction": "q", "output": "a", "extra": 1})");
  rows.format = "text";
  (void)tokenize({rows});
  EXPECT_THAT(texts(), ElementsAre("t"));
}

TEST_F(TokenizeShapesTest, TheGuessIsLoggedOnceWithTheColumnsItCameFrom) {
  testing::internal::CaptureStderr();
  (void)tokenize({input("a.jsonl", "{\"instruction\": \"q\", \"output\": \"a\"}\n")});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("a.jsonl: read as alpaca (its rows have instruction, output): chats: "));
}

TEST_F(TokenizeShapesTest, FieldMapsAreStrict) {
  const auto refused = [&](auto change) {
    TokenizeInput made = input("a.jsonl", "{\"text\": \"a\"}\n");
    change(made);
    return error_of([&] { (void)tokenize({made}); }, ErrorKind::kConfig);
  };
  EXPECT_THAT(refused([](auto& i) {
                i.fields.columns = {{"promt", "q"}};
              }),
              HasSubstr("columns has the unknown key 'promt', did you mean 'prompt'?"));
  EXPECT_THAT(refused([](auto& i) {
                i.fields.tags = {{"user", "q"}};
              }),
              HasSubstr("tags has the unknown key 'user'; expected role_tag"));
  EXPECT_THAT(refused([](auto& i) {
                i.fields.columns = {{"prompt", "q"}, {"output", "q"}};
              }),
              HasSubstr("columns names 'q' twice"));
  EXPECT_THAT(refused([](auto& i) { i.preference = "best"; }),
              HasSubstr("preference is 'best', expected one of pair, chosen"));
}

TEST_F(TokenizeShapesTest, DuplicatesAreLeftOutOverAllDatasetsAndCounted) {
  TokenizeOptions options;
  options.deduplicate = true;
  const Manifest made =
      tokenize(
          {input("a.txt", "one\ntwo\none\n\n\n"),
           input("b.jsonl", "{\"text\": \"two\", \"id\": 1}\n{\"text\": \"three\", \"id\": 2}\n")},
          options)
          .manifest;
  EXPECT_THAT(texts(), ElementsAre("one", "two", "three"));
  EXPECT_EQ(made.sources[0].duplicates, 1);
  EXPECT_EQ(made.sources[0].empty, 2);
  EXPECT_EQ(made.sources[1].duplicates, 1);
}

class ValidationSplitTest : public TokenizeShapesTest {
 protected:
  std::vector<std::string> side(const std::string& rows, double size, bool validation,
                                bool deduplicate = false) {
    fs::remove_all(out());
    TokenizeOptions options;
    options.split = ValidationSplit{.size = size, .validation = validation};
    options.deduplicate = deduplicate;
    const SourceCounts counts = tokenize({input("a.txt", rows)}, options).manifest.sources[0];
    const auto found = texts();
    EXPECT_EQ(counts.left_out + counts.duplicates + std::ssize(found), counts.rows);
    return found;
  }
  static std::string numbers(int first, int last) {
    std::string rows;
    for (int i = first; i < last; ++i) {
      rows += fmt::format("row {}\n", i);
    }
    return rows;
  }
  static std::set<std::string> as_set(const std::vector<std::string>& rows) {
    return {rows.begin(), rows.end()};
  }
};

TEST_F(ValidationSplitTest, EveryRowIsOnOneSideAndStaysThereWhenOthersCome) {
  const auto validation = side(numbers(0, 1000), 0.1, true);
  const auto train = side(numbers(0, 1000), 0.1, false);
  EXPECT_EQ(validation.size() + train.size(), 1000u);
  EXPECT_GT(validation.size(), 70u);
  EXPECT_LT(validation.size(), 130u);
  const auto later = as_set(side(numbers(500, 1500) + numbers(0, 500), 0.1, true));
  for (const std::string& row : validation) {
    EXPECT_TRUE(later.contains(row)) << row;
  }
  for (const std::string& row : train) {
    EXPECT_FALSE(later.contains(row)) << row;
  }
}

TEST_F(ValidationSplitTest, ANumberIsExact) {
  EXPECT_THAT(side(numbers(0, 1000), 50, true), SizeIs(50));
  EXPECT_THAT(side(numbers(0, 1000), 50, false), SizeIs(950));
  EXPECT_THAT(side(numbers(0, 10), 1, true), SizeIs(1));
  EXPECT_THAT(error_of([&] { (void)side(numbers(0, 10), 10, true); }),
              HasSubstr("val_size is 10, but there are only 10 different rows"));
}

TEST_F(ValidationSplitTest, ADuplicateIsNeverOnBothSides) {
  const std::string rows = numbers(0, 200) + numbers(0, 200);
  for (const double size : {0.2, 30.0}) {
    const auto validation = as_set(side(rows, size, true));
    for (const std::string& row : side(rows, size, false)) {
      EXPECT_FALSE(validation.contains(row)) << row;
    }
    EXPECT_EQ(side(rows, size, true, true).size(), validation.size());
  }
}

TEST_F(ValidationSplitTest, TheSplitIsPartOfTheFingerprint) {
  const std::vector inputs{input("a.txt", numbers(0, 10))};
  const auto fingerprint = [&](double size, bool validation) {
    TokenizeOptions options;
    options.split = ValidationSplit{.size = size, .validation = validation};
    return tokenize_fingerprint(files_, inputs, tokenizer_, options);
  };
  EXPECT_NE(fingerprint(0.1, true), fingerprint(0.1, false));
  EXPECT_NE(fingerprint(0.1, true), fingerprint(0.2, true));
}

}  // namespace
}  // namespace weft::data
