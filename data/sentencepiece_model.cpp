#include "data/sentencepiece_model.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/sentencepiece_wire.h"
#include "data/tokenizer_added.h"

namespace weft::data {

namespace {

using Field = WireReader::Field;

void expect(const WireReader& reader, const Field& field, WireReader::Type type) {
  if (field.type != type) reader.damaged();
}

SentencePiece read_piece(std::string_view message, std::size_t offset, std::string_view name) {
  SentencePiece piece;
  WireReader reader(message, name);
  for (Field field; reader.next(field);) {
    switch (field.number) {
      case 1:
        expect(reader, field, WireReader::kBytes);
        piece.text = field.bytes;
        break;
      case 2:
        expect(reader, field, WireReader::kFixed32);
        piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
        break;
      case 3:
        expect(reader, field, WireReader::kVarint);
        if (field.value < SentencePiece::kNormal || field.value > SentencePiece::kByte) {
          fail_data("{}: the piece {} has the unknown type {}", name, printable(piece.text),
                    field.value);
        }
        piece.type = static_cast<SentencePiece::Type>(field.value);
        piece.type_offset = offset + field.offset;
        break;
      default:
        break;
    }
  }
  return piece;
}

void check_piece(const SentencePiece& piece, std::size_t id, std::string_view name) {
  if (piece.text.empty()) fail_data("{}: piece {} is empty", name, id);
  // The library takes a piece for a C string, and ends the program over one that begins with its
  // end.
  if (piece.text.find('\0') != std::string::npos) {
    fail_data("{}: piece {} ({}) has a zero byte in it", name, id, printable(piece.text));
  }
  if (!is_utf8(piece.text)) {
    fail_data("{}: piece {} ({}) is not UTF-8", name, id, printable(piece.text));
  }
  if (!std::isfinite(piece.score)) {
    fail_data("{}: piece {} ({}) has a score that is not a finite number", name, id,
              printable(piece.text));
  }
  if (piece.type == SentencePiece::kByte && sentencepiece_byte(piece.text) < 0) {
    fail_data("{}: piece {} ({}) is a byte piece, but not written like <0x0A>", name, id,
              printable(piece.text));
  }
}

void read_trainer(std::string_view message, std::string_view name) {
  constexpr std::uint64_t kUnigram = 1;
  constexpr std::uint64_t kBpe = 2;
  WireReader reader(message, name);
  for (Field field; reader.next(field);) {
    if (field.number != 3) continue;
    expect(reader, field, WireReader::kVarint);
    if (field.value != kUnigram && field.value != kBpe) {
      fail_data("{}: model type {}, expected 1 (unigram) or 2 (BPE)", name, field.value);
    }
  }
}

void read_normalizer(std::string_view message, SentencePieceModel& model, bool encoding,
                     std::string_view name) {
  WireReader reader(message, name);
  for (Field field; reader.next(field);) {
    if (encoding && field.number == 1 && field.bytes == kByteLevelNormalizer) {
      fail_data(
          "{}: is a byte-level BPE as `weft tokenizer convert` writes it; its text has to be cut "
          "and "
          "spelled first, so use the tokenizer.json that it came from",
          name);
    }
    if (field.number == 2 && !field.bytes.empty()) {
      fail_data(
          "{}: has a compiled normaliser, which weft does not run; train the model with "
          "normalization_rule_name identity",
          name);
    }
    if (!encoding || (field.number != 3 && field.number != 5)) continue;
    expect(reader, field, WireReader::kVarint);
    (field.number == 3 ? model.add_dummy_prefix : model.escape_whitespaces) = field.value != 0;
  }
}

void check_pieces(const SentencePieceModel& model, std::string_view name) {
  std::unordered_set<std::string_view> seen;
  std::size_t unknown = 0;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const SentencePiece& piece = model.pieces[id];
    check_piece(piece, id, name);
    if (!seen.insert(piece.text).second) {
      fail_data("{}: the piece {} stands twice", name, printable(piece.text));
    }
    if (piece.type == SentencePiece::kUnknown) ++unknown;
  }
  if (unknown != 1) {
    fail_data("{}: has {} unknown pieces, expected exactly one", name, unknown);
  }
}

}  // namespace

SentencePieceModel read_sentencepiece_model(std::string_view bytes, std::string_view name) {
  SentencePieceModel model;
  WireReader reader(bytes, name);
  for (Field field; reader.next(field);) {
    if (field.number > 5) continue;
    expect(reader, field, WireReader::kBytes);
    switch (field.number) {
      case 1:
        if (std::cmp_greater_equal(model.pieces.size(), kMaxTokenId)) {
          fail_data("{}: has more than {} pieces", name, kMaxTokenId);
        }
        model.pieces.push_back(read_piece(field.bytes, field.offset, name));
        break;
      case 2:
        read_trainer(field.bytes, name);
        break;
      case 3:
      case 5:
        read_normalizer(field.bytes, model, field.number == 3, name);
        break;
      default:
        break;
    }
  }
  check_pieces(model, name);
  return model;
}

int sentencepiece_byte(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return -1;
  int byte = -1;
  const char* end = piece.data() + 5;
  const auto result = std::from_chars(piece.data() + 3, end, byte, 16);
  return result.ec == std::errc() && result.ptr == end ? byte : -1;
}

}  // namespace weft::data
