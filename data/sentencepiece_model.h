#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::data {

/// The name that a converted model gives its normaliser, by which weft knows it again.
inline constexpr std::string_view kByteLevelNormalizer = "byte_level";

/// A piece of a SentencePiece model; its id is its place. The values are those of the file format.
struct SentencePiece {
  enum Type : std::uint8_t {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  std::string text;
  float score = 0;
  Type type = kNormal;
  std::size_t type_offset = 0;  ///< where the file says the type; 0 when it leaves it out
};

/// What weft needs to know of a SentencePiece model file.
struct SentencePieceModel {
  std::vector<SentencePiece> pieces;
  bool add_dummy_prefix = true;    ///< encode puts a space before the text
  bool escape_whitespaces = true;  ///< a space is written as U+2581 in pieces
};

/// Reads and checks the bytes of a SentencePiece model, before the library sees them: it crashes on
/// some files that it should refuse. A data Error that starts with `name` for bytes that are not
/// such a model, pieces that are empty, not UTF-8, with a zero byte, doubled, without a finite
/// score or more than weft's limit, byte pieces of another form than <0x00>, not exactly one
/// unknown piece, a model type other than unigram and BPE, and a compiled normaliser (weft's models
/// keep text as it is).
[[nodiscard]] SentencePieceModel read_sentencepiece_model(std::string_view bytes,
                                                          std::string_view name);

/// The byte that a piece such as "<0x0A>" stands for, or -1.
[[nodiscard]] int sentencepiece_byte(std::string_view piece);

}  // namespace weft::data
