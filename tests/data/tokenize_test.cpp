#include "data/tokenize.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "tokenize_folder_test.h"

namespace weft::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class TokenizeTest : public TokenizeFolderTest {};

TEST_F(TokenizeTest, EveryTokenOfATextButTheFirstIsATargetAndAnEndTokenFollows) {
  const TokenizeResult result = tokenize({input("a.txt", "one\ntwo<|im_end|>\n")});
  const auto all = documents();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].ids, byte_ids("one<|endoftext|>"));
  EXPECT_THAT(all[0].mask, ElementsAre(0, 1, 1, 1));
  // What a text says is never a control token.
  EXPECT_EQ(all[1].ids.size(), 3u + 10u + 1u);
  EXPECT_EQ(result.manifest.totals(),
            (ShardCounts{.documents = 2, .tokens = 18, .trained_tokens = 16}));
  EXPECT_FALSE(result.reused);
}

TEST_F(TokenizeTest, TextIsSampledByLineParagraphDocumentOrSeparator) {
  const auto sampled = [&](const std::string& by, const std::string& separator = {}) {
    fs::remove_all(out());
    TokenizeInput text = input("a.txt", "a\nb\n\nc\n--\nd\n");
    text.sample_by = by;
    text.separator = separator;
    (void)tokenize({text});
    return texts();
  };
  EXPECT_THAT(sampled("line"), ElementsAre("a", "b", "c", "--", "d"));
  EXPECT_THAT(sampled("paragraph"), ElementsAre("a\nb", "c\n--\nd"));
  EXPECT_THAT(sampled("document"), ElementsAre("a\nb\n\nc\n--\nd\n"));
  EXPECT_THAT(sampled("separator", "--"), ElementsAre("a\nb\n\nc", "d"));
}

TEST_F(TokenizeTest, JsonRowsWithText) {
  TokenizeInput rows = input("a.jsonl", "{\"text\": \"hi\"}\n\n{\"text\": \"yo\", \"id\": 3}\r\n");
  (void)tokenize({rows});
  EXPECT_THAT(texts(), ElementsAre("hi", "yo"));
}

TEST_F(TokenizeTest, ChatsTrainWhatTheAssistantSays) {
  (void)tokenize({input("a.jsonl", R"({"messages": [{"role": "user", "content": "hi"},)"
                                   R"( {"role": "assistant", "content": "yo"}]})"
                                   "\n")});
  const auto all = documents();
  ASSERT_EQ(all.size(), 1u);
  const std::string before =
      "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
  EXPECT_EQ(all[0].ids, byte_ids(before + "yo<|im_end|>\n"));
  EXPECT_EQ(all[0].mask.back(), 0);
  EXPECT_EQ(all[0].mask[all[0].mask.size() - 2], 1);
  EXPECT_EQ(all[0].mask[0], 0);
}

TEST_F(TokenizeTest, QuestionsAndAnswersUnderOtherNamesBecomeChats) {
  TokenizeInput rows = input("a.jsonl", R"({"question": "hi", "answer": "yo"})");
  rows.prompt_field = "question";
  rows.response_field = "answer";
  (void)tokenize({rows});
  const auto exchange = documents();
  fs::remove_all(out());
  (void)tokenize({input("b.jsonl", R"({"messages": [{"role": "user", "content": "hi"}, )"
                                   R"({"role": "assistant", "content": "yo"}]})")});
  EXPECT_EQ(exchange[0].ids, documents()[0].ids);
  EXPECT_EQ(exchange[0].mask, documents()[0].mask);
}

TEST_F(TokenizeTest, RowsOfIdsPassThroughUntouched) {
  (void)tokenize({input("a.jsonl",
                        "{\"ids\": [5, 6, 258], \"labels\": [-100, 6, -100]}\n"
                        "{\"ids\": [7, 8], \"labels\": [7, 8]}\n")});
  const auto all = documents();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_THAT(all[0].ids, ElementsAre(5, 6, 258));
  EXPECT_THAT(all[0].mask, ElementsAre(0, 1, 0));
  EXPECT_THAT(all[1].ids, ElementsAre(7, 8));
  EXPECT_THAT(all[1].mask, ElementsAre(0, 1));  // nothing is before the first token
}

TEST_F(TokenizeTest, AFolderIsItsFilesInOrderWithoutHiddenOnes) {
  put("in/b.txt", "b");
  put("in/a.txt", "a");
  put("in/.hidden.txt", "h");
  TokenizeInput folder;
  folder.path = folder_ / "in";
  (void)tokenize({folder, input("c.txt", "c")});
  EXPECT_THAT(texts(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(documents()[1].source, 0);
  EXPECT_EQ(documents()[2].source, 1);
}

TEST_F(TokenizeTest, OverlongDocumentsAreTruncatedDroppedSplitOrRefused) {
  const auto with = [&](Overlong overlong) {
    fs::remove_all(out());
    TokenizeOptions options;
    options.max_length = 4;
    options.overlong = overlong;
    return tokenize({input("a.txt", "abcdefgh\nab\n")}, options).manifest.sources[0];
  };
  SourceCounts counts = with(Overlong::kTruncate);
  EXPECT_THAT(texts(), ElementsAre("abcd", "ab"));
  EXPECT_EQ(counts.truncated, 1);
  EXPECT_EQ(counts.tokens_lost, 5);
  counts = with(Overlong::kDrop);
  EXPECT_THAT(texts(), ElementsAre("ab"));
  EXPECT_EQ(counts.overlong_dropped, 1);
  EXPECT_EQ(counts.tokens_lost, 9);
  // The last piece of abcdefgh is its end token alone: nothing of it can be trained.
  counts = with(Overlong::kSplit);
  EXPECT_THAT(texts(), ElementsAre("abcd", "efgh", "ab"));
  EXPECT_EQ(documents()[1].mask[0], 0);
  EXPECT_EQ(counts.split, 1);
  EXPECT_EQ(counts.no_target, 1);
  EXPECT_EQ(counts.tokens_lost, 1);
  EXPECT_THAT(
      error_of([&] { with(Overlong::kError); }),
      HasSubstr("a.txt:1: has 9 tokens, max_length is 4; raise max_length or set overlong"));
}

TEST_F(TokenizeTest, DocumentsOfExactlyMaxLengthAreKeptWhole) {
  TokenizeOptions options;
  options.max_length = 4;
  options.overlong = Overlong::kError;
  (void)tokenize({input("a.txt", "abc\n")}, options);
  EXPECT_THAT(texts(), ElementsAre("abc"));
}

TEST_F(TokenizeTest, RowsWithNothingToTrainAreDroppedAndCounted) {
  const TokenizeResult result = tokenize({input("a.jsonl",
                                                "{\"ids\": [], \"labels\": []}\n"
                                                "{\"ids\": [1, 2], \"labels\": [-100, -100]}\n"
                                                "{\"ids\": [1], \"labels\": [1]}\n"
                                                "{\"ids\": [3, 4], \"labels\": [-100, 4]}\n")});
  const SourceCounts& counts = result.manifest.sources[0];
  EXPECT_EQ(counts.rows, 4);
  EXPECT_EQ(counts.empty, 1);
  EXPECT_EQ(counts.no_target, 2);
  EXPECT_EQ(counts.tokens_lost, 3);
  EXPECT_EQ(counts.kept, (ShardCounts{.documents = 1, .tokens = 2, .trained_tokens = 1}));
}

TEST_F(TokenizeTest, NothingLeftIsAnErrorAndLeavesNothing) {
  EXPECT_THAT(refusal("a.txt", "\n\n"),
              HasSubstr("no document is left to train on: of 2 rows 2 were empty, 0 had no token "
                        "to train and 0 were over max_length"));
  EXPECT_THAT(refusal("b.jsonl", ""), HasSubstr("of 0 rows"));
}

TEST_F(TokenizeTest, TheShardsDoNotDependOnTheNumberOfThreads) {
  std::string rows;
  for (int i = 0; i < 10'000; ++i) {
    rows += fmt::format("line {} {}\n", i, std::string(static_cast<std::size_t>(i % 50), 'x'));
  }
  TokenizeOptions options;
  options.shards.shard_tokens = 50'000;
  std::vector<Manifest> made;
  for (const int threads : {1, 2, 7}) {
    fs::remove_all(out());
    options.threads = threads;
    made.push_back(tokenize({input("a.txt", rows)}, options).manifest);
  }
  EXPECT_EQ(made[0].shards, made[1].shards);
  EXPECT_EQ(made[0].shards, made[2].shards);
  EXPECT_GE(made[0].shards.size(), 5u);
}

TEST_F(TokenizeTest, ProgressReachesTheEndOfAllInputs) {
  TokenizeOptions options;
  TokenizeProgress last;
  options.progress = [&last](const TokenizeProgress& progress) { last = progress; };
  (void)tokenize({input("a.txt", "one\n"), input("b.txt", "two\nthree\n")}, options);
  EXPECT_EQ(last.bytes, 14u);
  EXPECT_EQ(last.total_bytes, 14u);
  EXPECT_EQ(last.rows, 3);
  EXPECT_EQ(last.tokens, 14);
}

TEST_F(TokenizeTest, ReadingTheInputsFirstShowsProgressToo) {
  TokenizeOptions options;
  std::vector<std::uint64_t> hashed;
  options.progress = [&hashed](const TokenizeProgress& progress) {
    if (progress.stage == TokenizeStage::kHashing) hashed.push_back(progress.bytes);
    EXPECT_EQ(progress.total_bytes, 14u);
  };
  (void)tokenize({input("a.txt", "one\n"), input("b.txt", "two\nthree\n")}, options);
  EXPECT_THAT(hashed, ElementsAre(4u, 14u));
}

TEST_F(TokenizeTest, TheSameInputsAndOptionsAreRecognised) {
  const TokenizeResult first = tokenize({input("a.txt", "one\n")});
  const auto written = fs::last_write_time(out() / "shard-00000.h5");
  TokenizeOptions same;
  same.threads = 3;
  const TokenizeResult second = tokenize({input("a.txt", "one\n")}, same);
  EXPECT_TRUE(second.reused);
  EXPECT_EQ(second.manifest, first.manifest);
  EXPECT_EQ(fs::last_write_time(out() / "shard-00000.h5"), written);
}

TEST_F(TokenizeTest, ACacheKeepsTheShardsOfOtherInputsUnderOtherNames) {
  const std::vector one{input("a.txt", "one\n")};
  const std::vector two{input("b.txt", "two\n")};
  const auto cached = [&](const std::vector<TokenizeInput>& inputs) {
    return tokenize_to_cache(files_, inputs, tokenizer_, {}, out());
  };
  const TokenizeResult first = cached(one);
  EXPECT_EQ(first.folder, out() / first.manifest.identity.fingerprint.substr(0, 16));
  EXPECT_FALSE(cached(two).reused);
  EXPECT_TRUE(cached(one).reused);
  EXPECT_EQ(files_.list(out()).size(), 2u);
}

TEST_F(TokenizeTest, OtherInputsOrOptionsAreRefusedWithWhatChanged) {
  (void)tokenize({input("a.txt", "one\n")});
  const auto again = [&](std::string_view text, const TokenizeOptions& options,
                         const Tokenizer& tokenizer) {
    const std::vector inputs{input("a.txt", text)};
    return error_of([&] { (void)tokenize_to_shards(files_, inputs, tokenizer, options, out()); },
                    ErrorKind::kConfig);
  };
  TokenizeOptions shorter;
  shorter.max_length = 99;
  EXPECT_EQ(again("one\n", shorter, tokenizer_),
            "output_dir " + out().string() +
                ": holds shards of other inputs or options (max_length was null and is 99); remove "
                "it or choose another");
  TokenizeOptions last_turn;
  last_turn.chat.train_on = TrainOn::kLast;
  EXPECT_THAT(again("one\n", last_turn, tokenizer_),
              HasSubstr("(chats: train_on was \"assistant\" and is \"last\")"));
  EXPECT_THAT(again("two\n", {}, tokenizer_), HasSubstr("(dataset 1: files was [[\"a.txt\","));
  EXPECT_THAT(again("one\n", {}, ByteTokenizer('2')), HasSubstr("(tokenizer was \"1111"));
  EXPECT_THAT(texts(), ElementsAre("one"));
}

TEST_F(TokenizeTest, ShardsOfTheSameInputsThatWereDamagedAreNotReused) {
  (void)tokenize({input("a.txt", "one\n")});
  put("shards/shard-00000.h5", "x");
  EXPECT_THAT(error_of([&] { (void)tokenize({input("a.txt", "one\n")}); }),
              HasSubstr("shard-00000.h5: is 1 bytes, shards.json says"));
}

TEST_F(TokenizeTest, AFolderThatHoldsSomethingElseIsLeftAlone) {
  put("shards/thesis.tex", "years of work");
  EXPECT_THAT(error_of([&] { (void)tokenize({input("a.txt", "one\n")}); }, ErrorKind::kConfig),
              HasSubstr("is not empty and holds no shards.json; choose another"));
  EXPECT_TRUE(fs::exists(out() / "thesis.tex"));
  fs::remove_all(out());
  put("shards", "a file");
  EXPECT_THAT(error_of([&] { (void)tokenize({input("a.txt", "one\n")}); }, ErrorKind::kConfig),
              HasSubstr("is a file; choose another"));
}

TEST_F(TokenizeTest, AnEmptyFolderIsUsed) {
  fs::create_directories(out());
  (void)tokenize({input("a.txt", "one\n")});
  EXPECT_THAT(texts(), ElementsAre("one"));
}

TEST_F(TokenizeTest, BadRowsAreNamedWithFileAndLine) {
  EXPECT_THAT(refusal("a.jsonl", "{\"text\": \"a\"}\n{\"text\": \n"), HasSubstr("a.jsonl:2"));
  EXPECT_THAT(refusal("a.jsonl", "{\"text\": \"a\"}\n[1]\n"),
              HasSubstr("a.jsonl:2: is not a JSON object"));
  EXPECT_THAT(refusal("a.jsonl", "{\"text\": \"a\"}\n{\"text\": 3}\n"), HasSubstr("a.jsonl:2"));
  EXPECT_THAT(refusal("a.jsonl", "{\"messages\": []}\n"), HasSubstr("a.jsonl:1"));
  EXPECT_THAT(refusal("a.txt", "ok\nb\xFFz\n"), HasSubstr("a.txt:2: is not valid UTF-8"));
}

TEST_F(TokenizeTest, OfManyBadRowsTheFirstIsReported) {
  std::string rows;
  for (int i = 1; i <= 1000; ++i) {
    rows += i < 500 ? "{\"text\": \"a\"}\n" : "{\"text\": 3}\n";
  }
  TokenizeOptions options;
  options.threads = 8;
  EXPECT_THAT(error_of([&] { (void)tokenize({input("a.jsonl", rows)}, options); }),
              HasSubstr("a.jsonl:500"));
}

TEST_F(TokenizeTest, RowsOfIdsThatCannotBe) {
  const auto row = [&](const std::string& ids, const std::string& labels) {
    return refusal("a.jsonl", fmt::format("{{\"ids\": {}, \"labels\": {}}}\n", ids, labels));
  };
  EXPECT_THAT(row("[1, 2]", "[1]"), HasSubstr("a.jsonl:1: 2 ids with 1 labels"));
  EXPECT_THAT(row("[1, 2]", "[-100, 3]"),
              HasSubstr("labels[1] is 3, expected its id 2 or -100 (labels are not shifted)"));
  EXPECT_THAT(row("[1, 259]", "[-100, 259]"),
              HasSubstr("ids[1] is 259, outside the tokenizer's vocabulary of 259"));
  EXPECT_THAT(row("[1, -1]", "[-100, -1]"), HasSubstr("ids[1] is -1"));
  EXPECT_THAT(row("[1, 1.5]", "[-100, 1]"), HasSubstr("a.jsonl:1"));
  EXPECT_THAT(refusal("a.jsonl", "{\"ids\": [1, 2]}"), HasSubstr("labels"));
}

TEST_F(TokenizeTest, RowsOfAnUnknownKindAreRefusedWithTheirKeys) {
  EXPECT_THAT(
      refusal("a.jsonl", R"({"question": "hi", "answer": "yo"})"),
      HasSubstr("a.jsonl:1: cannot tell what the rows hold: found question, answer; expected "
                "chosen, rejected (and prompt or messages) (preference), "));
}

TEST_F(TokenizeTest, AFolderOfDifferentKindsIsRefused) {
  put("in/a.txt", "a");
  put("in/b.jsonl", "{\"text\": \"b\"}");
  TokenizeInput folder;
  folder.path = folder_ / "in";
  EXPECT_THAT(error_of([&] { (void)tokenize({folder}); }),
              HasSubstr("hold different kinds of rows; list them as two datasets"));
}

TEST_F(TokenizeTest, PathsThatAreNotThereAreNamed) {
  TokenizeInput missing;
  missing.path = folder_ / "none.jsonl";
  EXPECT_THAT(error_of([&] { (void)tokenize({missing}); }),
              HasSubstr("none.jsonl: no such file or folder"));
  fs::create_directories(folder_ / "in");
  missing.path = folder_ / "in";
  EXPECT_THAT(error_of([&] { (void)tokenize({missing}); }), HasSubstr("hold no files"));
}

TEST_F(TokenizeTest, OptionsThatContradictEachOtherAreConfigErrors) {
  const auto with = [&](auto change) {
    TokenizeInput made = input("a.txt", "one\n");
    change(made);
    return error_of([&] { (void)tokenize({made}); }, ErrorKind::kConfig);
  };
  EXPECT_THAT(with([](auto& i) { i.format = "parquet"; }),
              HasSubstr("format is 'parquet', expected one of auto, text, chat, sharegpt, alpaca"));
  EXPECT_THAT(with([](auto& i) { i.sample_by = "page"; }), HasSubstr("sample_by is 'page'"));
  EXPECT_THAT(with([](auto& i) { i.separator = "--"; }),
              HasSubstr("separator goes with 'sample_by: separator'"));
  EXPECT_THAT(with([](auto& i) { i.sample_by = "separator"; }), HasSubstr("set both or neither"));
  EXPECT_THAT(with([](auto& i) { i.prompt_field = "q"; }),
              HasSubstr("prompt_field and response_field go together"));
  EXPECT_THAT(error_of([&] { (void)tokenize({}); }, ErrorKind::kConfig),
              HasSubstr("datasets has 0 entries"));
  TokenizeOptions options;
  options.max_length = 1;
  EXPECT_THAT(
      error_of([&] { (void)tokenize({input("a.txt", "one\n")}, options); }, ErrorKind::kConfig),
      HasSubstr("max_length is 1, expected 2 or more"));
}

TEST_F(TokenizeTest, AnEndTokenThatTheTokenizerLacksIsAConfigError) {
  TokenizeOptions options;
  options.end_token = "<eot>";
  EXPECT_EQ(
      error_of([&] { (void)tokenize({input("a.txt", "one\n")}, options); }, ErrorKind::kConfig),
      "end_token: the tokenizer has no token <eot>; set end_token to one that it has");
  options.end_token = "<|im_end|>";
  (void)tokenize({input("a.txt", "one\n")}, options);
  EXPECT_EQ(documents()[0].ids.back(), ByteTokenizer::kTurnEnd);
}

TEST(OverlongName, GoesThereAndBack) {
  for (const auto overlong :
       {Overlong::kTruncate, Overlong::kDrop, Overlong::kSplit, Overlong::kError}) {
    EXPECT_EQ(overlong_from_name(overlong_name(overlong)), overlong);
  }
  EXPECT_THAT(error_of([] { (void)overlong_from_name("cut"); }, ErrorKind::kConfig),
              HasSubstr("overlong is 'cut', expected truncate, drop, split or error"));
}

}  // namespace
}  // namespace weft::data
