#include "data/sentencepiece_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include <cerrno>
#include <random>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "data/chat.h"
#include "data/sentencepiece_training.h"
#include "tests/data/sentencepiece_test_support.h"
#include "tests/data/tokenizer_test_support.h"
#include "tests/support/caught.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/temp_folder.h"

namespace weft::data {

namespace {

using test::caught;
using test::TempFolder;
using testing::AllOf;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

const std::vector<std::string>& corpus() {
  static const std::vector<std::string> kTexts{
      "The quick brown fox jumps over the lazy dog.\nThe dog sleeps; the fox does not.\n",
      "Alle Menschen sind frei und gleich.\n\n    return 12 + 34\n", "日本 日本 日本"};
  return kTexts;
}

const std::string& trained_model() {
  static const std::string kModel = train_sentencepiece(corpus(), {.vocab_size = 360});
  return kModel;
}

const Tokenizer& trained() {
  static const SentencePieceTokenizer kTokenizer(trained_model(), "trained");
  return kTokenizer;
}

TEST(SentencePieceTokenizer, TextComesBack) {
  for (const std::string_view text :
       {"", " ", "The fox", "  two  spaces ", "new\n\nlines\n", "\ttab", "naïve 日本語 😀",
        "e\u0301", "<|im_end|> <think>", "\xFF broken \xE2\x82 bytes"}) {
    EXPECT_EQ(trained().decode(encode(trained(), text), false), text);
    EXPECT_EQ(trained().decode(encode(trained(), text, SpecialTokens::kParse), false), text);
  }
}

TEST(SentencePieceTokenizer, RandomBytesComeBack) {
  std::mt19937 random(4);
  for (std::size_t size = 0; size < 200; ++size) {
    std::string bytes;
    while (bytes.size() < size) bytes += static_cast<char>(random());
    ASSERT_EQ(trained().decode(encode(trained(), bytes), false), bytes);
  }
}

TEST(SentencePieceTokenizer, LearnsItsCorpus) {
  const std::string text = "The quick brown fox";
  EXPECT_LT(encode(trained(), text).size(), text.size() / 2);
  EXPECT_EQ(trained().vocab_size(), 360);
}

TEST(SentencePieceTokenizer, GivesTheIdsOfTheLibrary) {
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.LoadFromSerializedProto(trained_model()).ok());
  for (const std::string& text : corpus()) {
    EXPECT_EQ(encode(trained(), text), library.EncodeAsIds(text));
    EXPECT_EQ(trained().decode(library.EncodeAsIds(text), false), text);
  }
}

TEST(SentencePieceTokenizer, NamesOfSpecialTokensInTextStayText) {
  for (const std::string_view name :
       {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<tool_call>"}) {
    const auto id = trained().token_id(name);
    ASSERT_TRUE(id.has_value()) << name;
    const std::string text = "a" + std::string(name) + "b";
    EXPECT_THAT(encode(trained(), text), testing::Not(testing::Contains(*id)));
    EXPECT_THAT(encode(trained(), text, SpecialTokens::kParse), testing::Contains(*id));
    EXPECT_EQ(trained().token_bytes(*id), name);
    EXPECT_EQ(trained().is_special(*id), name.starts_with("<|"));
  }
  EXPECT_FALSE(trained().token_id("fox").has_value());
  const Ids ids = encode(trained(), "<|im_start|>a<think>", SpecialTokens::kParse);
  EXPECT_EQ(trained().decode(ids, true), "a<think>");
}

TEST(SentencePieceTokenizer, WritesChats) {
  const Json chat = parse_json(R"({"messages": [{"role": "user", "content": "The <|im_end|> fox"},
      {"role": "assistant", "content": "dog"}]})",
                               "row");
  const RenderedChat rendered = render_chat(trained(), chat, {}, "row");
  EXPECT_EQ(trained().decode(rendered.ids, false), rendered.text);
  std::string target;
  for (std::size_t i = 0; i < rendered.ids.size(); ++i) {
    if (rendered.mask[i] != 0) target += trained().token_bytes(rendered.ids[i]);
  }
  EXPECT_EQ(target, "<think>\n\n</think>\n\ndog<|im_end|>");
}

TEST(SentencePieceTokenizer, IsLoadedFromAModelFolder) {
  const TempFolder folder;
  write_file(folder / "tokenizer.model", trained_model());
  const auto tokenizer = load_tokenizer(posix_file_system(), folder.path());
  EXPECT_EQ(encode(*tokenizer, "The fox"), encode(trained(), "The fox"));
  EXPECT_EQ(tokenizer->sha256(), sha256_hex(trained_model()));
  write_file(folder / "tokenizer.model", trained_model().substr(0, 1000));
  EXPECT_THAT(caught([&] { return load_tokenizer(posix_file_system(), folder.path()); }).what(),
              AllOf(HasSubstr("tokenizer.model"), HasSubstr("is damaged")));
}

TEST(SentencePieceTokenizer, UserDefinedPiecesThatAreNoTagsAreVocabulary) {
  const SentencePieceTokenizer tokenizer(
      model_file({piece_field("<unk>", SentencePiece::kUnknown),
                  piece_field("<table>", SentencePiece::kUserDefined),
                  piece_field("<|im_end|>", SentencePiece::kUserDefined), piece_field("a", 1)}),
      "my.model");
  EXPECT_EQ(encode(tokenizer, "a<table>a"), (Ids{3, 1, 3}));
  EXPECT_THAT(encode(tokenizer, "a<|im_end|>"), testing::Not(testing::Contains(2)));
  EXPECT_EQ(encode(tokenizer, "a<|im_end|>", SpecialTokens::kParse), (Ids{3, 2}));
  // Without byte pieces, what the model does not know is the unknown piece.
  EXPECT_EQ(encode(tokenizer, "a\xFF"), (Ids{3, 0}));
}

TEST(SentencePieceTokenizer, DropsTheSpaceThatTheModelPutsFirst) {
  const SentencePieceTokenizer tokenizer(model_file({piece_field("<unk>", SentencePiece::kUnknown),
                                                     piece_field("\u2581", 1), piece_field("a", 1)},
                                                    number_field(3, 1)),
                                         "my.model");
  const Ids ids = encode(tokenizer, "a a");
  EXPECT_EQ(ids, (Ids{1, 2, 1, 2}));
  EXPECT_EQ(tokenizer.decode(ids, false), "a a");
}

TEST(SentencePieceTraining, IsRepeatable) {
  EXPECT_EQ(train_sentencepiece(corpus(), {.vocab_size = 360}), trained_model());
}

TEST(SentencePieceTraining, BadOptionsAreRefused) {
  const auto refusal = [](const SentencePieceTraining& options) {
    const Error error = caught([&] { return train_sentencepiece(corpus(), options); });
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return std::string(error.what());
  };
  EXPECT_THAT(refusal({.vocab_size = 100}), HasSubstr("vocab_size is 100, expected 266"));
  EXPECT_THAT(refusal({.vocab_size = -5}), HasSubstr("vocab_size is -5"));
  EXPECT_THAT(refusal({.vocab_size = 270}), HasSubstr("Vocabulary size is smaller"));
  EXPECT_THAT(refusal({.vocab_size = 400, .control_tokens = {"a b"}}),
              HasSubstr("the token a b cannot be used"));
  EXPECT_THAT(refusal({.model_type = "word", .vocab_size = 400}),
              HasSubstr("model_type is 'word', expected bpe or unigram"));
  EXPECT_THAT(refusal({.vocab_size = 400, .character_coverage = 1.5}),
              HasSubstr("character_coverage is 1.5"));
}

TEST(SentencePieceTraining, UnigramModelsKeepTextToo) {
  const std::string model =
      train_sentencepiece(corpus(), {.model_type = "unigram", .vocab_size = 330});
  EXPECT_NE(model, trained_model());
  const SentencePieceTokenizer tokenizer(model, "unigram");
  for (const std::string_view text : {"The fox", "  two  spaces ", "日本\n", "naïve", "\xFF"}) {
    EXPECT_EQ(tokenizer.decode(encode(tokenizer, text), false), text);
  }
  EXPECT_LT(encode(tokenizer, "The quick brown fox").size(), 19U);
}

TEST(SentencePieceTraining, RareCharactersAreSpelledInBytesWhereCoverageSaysSo) {
  std::vector<std::string> texts(200, "the fox and the dog and the fox\n");
  texts.emplace_back("本");
  const auto ids = [&](double coverage) {
    const std::string model =
        train_sentencepiece(texts, {.vocab_size = 300, .character_coverage = coverage});
    return encode(SentencePieceTokenizer(model, "covered"), "本").size();
  };
  EXPECT_EQ(ids(1.0), 1U);
  EXPECT_EQ(ids(0.98), 3U);
}

TEST(SentencePieceTraining, ReadsTextAndRows) {
  const TempFolder folder;
  write_file(folder / "a.txt", corpus()[0]);
  write_file(folder / "b.jsonl",
             R"({"messages": [{"role": "user", "content": "Alle Menschen sind frei"}]})"
             "\n\n");
  const std::vector<fs::path> files{folder / "a.txt", folder / "b.jsonl"};
  train_sentencepiece(posix_file_system(), files, {.vocab_size = 340}, folder / "out");
  const auto tokenizer = load_tokenizer(posix_file_system(), folder / "out");
  EXPECT_LT(encode(*tokenizer, "Menschen").size(), 8u);
}

TEST(SentencePieceTraining, ReadsFoldersTablesAndCompressedFiles) {
  const TempFolder folder;
  fs::create_directories(folder / "corpus");
  fs::copy(fs::path(WEFT_SOURCE_DIR) / "tests/fixtures/inputs/rows.jsonl.zst",
           folder / "corpus/rows.jsonl.zst");
  write_file(folder / "corpus/t.csv", "question,answer\nWie geht es?,\"Alle Menschen,\nalle\"\n");
  const std::vector<fs::path> files{folder / "corpus"};
  train_sentencepiece(posix_file_system(), files, {.vocab_size = 340}, folder / "out");
  const auto tokenizer = load_tokenizer(posix_file_system(), folder / "out");
  EXPECT_LT(encode(*tokenizer, "Menschen").size(), 8u);
  write_file(folder / "corpus/c.idx", "");
  const Error error = caught([&] {
    train_sentencepiece(posix_file_system(), files, {.vocab_size = 340}, folder / "out");
  });
  EXPECT_THAT(error.what(), HasSubstr("c.idx: holds token ids"));
}

TEST(SentencePieceTraining, BadFilesAreRefused) {
  const TempFolder folder;
  write_file(folder / "a.txt", "ok \xFF");
  write_file(folder / "b.jsonl", "{\"text\": \"x\"}\n{oops\n");
  write_file(folder / "c.txt", "");
  const auto refusal = [&](const char* name) {
    const std::vector<fs::path> files{folder / name};
    const Error error = caught([&] {
      train_sentencepiece(posix_file_system(), files, {.vocab_size = 340}, folder / "out");
    });
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return std::string(error.what());
  };
  EXPECT_THAT(refusal("a.txt"), HasSubstr("a.txt:1: is not valid UTF-8"));
  EXPECT_THAT(refusal("b.jsonl"), HasSubstr("b.jsonl:2: not valid JSON"));
  EXPECT_THAT(refusal("c.txt"), HasSubstr("the corpus has no text"));
  EXPECT_THAT(refusal("d.txt"), HasSubstr("d.txt"));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST(SentencePieceTraining, AFailedWriteLeavesTheOldModel) {
  const TempFolder folder;
  write_file(folder / "a.txt", corpus()[0] + corpus()[1] + corpus()[2]);
  write_file(folder / "tokenizer.model", trained_model());
  test::FailingFileSystem files(posix_file_system(), folder.path());
  files.fail_where([](const auto& call) { return call.name == "append"; }, ENOSPC);
  const std::vector<fs::path> corpus_files{folder / "a.txt"};
  EXPECT_THAT(caught([&] {
                train_sentencepiece(files, corpus_files, {.vocab_size = 340}, folder.path());
              }).what(),
              HasSubstr("tokenizer.model"));
  EXPECT_EQ(read_file(posix_file_system(), folder / "tokenizer.model"), trained_model());
}

}  // namespace

}  // namespace weft::data
