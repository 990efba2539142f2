#include "data/sentencepiece_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>

#include "base/error.h"
#include "data/sentencepiece_tokenizer.h"
#include "tests/data/sentencepiece_test_support.h"
#include "tests/support/caught.h"

namespace weft::data {

namespace {

using test::caught;
using testing::HasSubstr;

const std::string kUnknown = piece_field("<unk>", SentencePiece::kUnknown);

std::string refusal(const std::string& bytes) {
  const Error error = caught([&] { return read_sentencepiece_model(bytes, "my.model"); });
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr("my.model: "));
  return error.what();
}

TEST(SentencePieceModel, IsRead) {
  const std::string bytes =
      model_file({kUnknown, piece_field("<s>", SentencePiece::kControl), piece_field("a", 1, -2)});
  const SentencePieceModel model = read_sentencepiece_model(bytes, "my.model");
  ASSERT_EQ(model.pieces.size(), 3u);
  EXPECT_EQ(model.pieces[2].text, "a");
  EXPECT_EQ(model.pieces[2].score, -2);
  EXPECT_EQ(model.pieces[1].type, SentencePiece::kControl);
  EXPECT_EQ(bytes[model.pieces[1].type_offset], SentencePiece::kControl);
  EXPECT_FALSE(model.add_dummy_prefix);
  EXPECT_TRUE(model.escape_whitespaces);
}

TEST(SentencePieceModel, BadPiecesAreRefused) {
  EXPECT_THAT(refusal(model_file({kUnknown, piece_field("", 1)})), HasSubstr("piece 1 is empty"));
  EXPECT_THAT(refusal(model_file({kUnknown, piece_field("\xFF", 1)})), HasSubstr("not UTF-8"));
  EXPECT_THAT(refusal(model_file({kUnknown, piece_field("a", 1), piece_field("a", 1)})),
              HasSubstr("the piece a stands twice"));
  EXPECT_THAT(refusal(model_file({kUnknown, piece_field("a", 9)})), HasSubstr("unknown type 9"));
  EXPECT_THAT(refusal(model_file({kUnknown, piece_field("x", SentencePiece::kByte)})),
              HasSubstr("is a byte piece, but not written like <0x0A>"));
  EXPECT_THAT(
      refusal(model_file({kUnknown, piece_field("a", 1, std::numeric_limits<float>::quiet_NaN())})),
      HasSubstr("not a finite number"));
  EXPECT_THAT(refusal(model_file({piece_field("a", 1)})), HasSubstr("has 0 unknown pieces"));
  EXPECT_THAT(refusal(model_file({kUnknown, piece_field("<u2>", SentencePiece::kUnknown)})),
              HasSubstr("has 2 unknown pieces"));
}

TEST(SentencePieceModel, OtherKindsAreRefused) {
  EXPECT_THAT(refusal(kUnknown + bytes_field(2, number_field(3, 4))), HasSubstr("model type 4"));
  EXPECT_THAT(refusal(model_file({kUnknown}, bytes_field(2, "compiled"))),
              HasSubstr("a compiled normaliser"));
  EXPECT_THAT(refusal(kUnknown + bytes_field(5, bytes_field(2, "compiled"))),
              HasSubstr("a compiled normaliser"));
}

TEST(SentencePieceModel, OtherBytesAreRefused) {
  EXPECT_THAT(refusal(""), HasSubstr("has 0 unknown pieces"));
  EXPECT_THAT(refusal("version https://git-lfs.github.com/spec/v1\n"), HasSubstr("is damaged"));
  EXPECT_THAT(refusal(std::string(20, '\xFF')), HasSubstr("is damaged"));
  EXPECT_THAT(refusal(bytes_field(1, "\x0A\xFF\xFF\xFF\xFF\x7F")), HasSubstr("is damaged"));
}

TEST(SentencePieceModel, EveryCutIsRefusedOrHarmless) {
  const std::string bytes = model_file({kUnknown, piece_field("ab", 1), piece_field("a", 1)});
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    try {
      const SentencePieceTokenizer tokenizer(bytes.substr(0, size), "my.model");
      EXPECT_LE(tokenizer.vocab_size(), 3);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData);
    }
  }
}

TEST(SentencePieceModel, ChangedBytesDoNoHarm) {
  const std::string good =
      model_file({kUnknown, piece_field("<s>", SentencePiece::kControl), piece_field("ab", 1, -1),
                  piece_field("a", 1, -2), piece_field("<0x41>", SentencePiece::kByte)});
  std::mt19937 random(9);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = good;
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    try {
      const SentencePieceTokenizer tokenizer(bytes, "my.model");
      std::vector<std::int32_t> ids;
      tokenizer.encode("ab a <s> b", SpecialTokens::kParse, ids);
      for (const std::int32_t id : ids) EXPECT_LT(id, tokenizer.vocab_size());
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData) << error.what();
    }
  }
}

TEST(SentencePieceByte, ReadsBytePieces) {
  EXPECT_EQ(sentencepiece_byte("<0x0A>"), 10);
  EXPECT_EQ(sentencepiece_byte("<0xff>"), 255);
  EXPECT_EQ(sentencepiece_byte("<0xG1>"), -1);
  EXPECT_EQ(sentencepiece_byte("<0x-1>"), -1);
  EXPECT_EQ(sentencepiece_byte("<0x1>"), -1);
}

}  // namespace

}  // namespace weft::data
