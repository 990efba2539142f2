#include "data/sentencepiece_convert.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <array>
#include <bit>
#include <span>
#include <unordered_set>

#include "base/error.h"
#include "base/text.h"
#include "data/pretokenizer.h"
#include "data/sentencepiece_model.h"
#include "data/tokenizer_nfc.h"
#include "data/tokenizer_utf8.h"

namespace weft::data {

namespace {

// A protocol buffer, field by field; google/sentencepiece: src/sentencepiece_model.proto.
void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_number(std::string& out, std::uint32_t field, std::int64_t value) {
  put_varint(out, std::uint64_t{field} << 3);
  put_varint(out, static_cast<std::uint64_t>(value));
}

void put_bytes(std::string& out, std::uint32_t field, std::string_view bytes) {
  put_varint(out, std::uint64_t{field} << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

void put_float(std::string& out, std::uint32_t field, float value) {
  put_varint(out, std::uint64_t{field} << 3 | 5);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(bits >> shift);
}

void put_piece(std::string& out, std::string_view text, float score, SentencePiece::Type type) {
  std::string piece;
  put_bytes(piece, 1, text);
  put_float(piece, 2, score);
  put_number(piece, 3, type);
  put_bytes(out, 1, piece);
}

void put_specs(std::string& out, std::int64_t unknown_id, std::string_view unknown) {
  constexpr std::int64_t kBpe = 2;
  std::string trainer;
  put_number(trainer, 3, kBpe);
  put_number(trainer, 4, unknown_id + 1);  // vocab_size
  put_number(trainer, 40, unknown_id);
  for (const std::uint32_t none : {41U, 42U, 43U}) put_number(trainer, none, -1);  // bos, eos, pad
  put_bytes(trainer, 45, unknown);
  put_bytes(out, 2, trainer);
  std::string normalizer;
  put_bytes(normalizer, 1, kByteLevelNormalizer);
  for (const std::uint32_t off : {3U, 4U, 5U}) put_number(normalizer, off, 0);
  put_bytes(out, 3, normalizer);
}

/// The lowest rank of the merges that make each token, or of a byte its id; fails where there is
/// none. SentencePiece has one score for a token, whatever it is made of, so it must be one rank.
std::vector<std::int64_t> ranks(const BpeDefinition& definition, std::string_view name) {
  std::vector<std::int64_t> result(static_cast<std::size_t>(definition.vocabulary.size()), -1);
  for (std::size_t rank = 0; rank < definition.merges.size(); ++rank) {
    std::int64_t& known = result[static_cast<std::size_t>(definition.merges[rank].merged)];
    if (known >= 0) {
      fail_data("{}: two merges make the token {}, and SentencePiece can rank only one", name,
                printable(definition.vocabulary.bytes(definition.merges[rank].merged)));
    }
    known = static_cast<std::int64_t>(rank);
  }
  return result;
}

std::string unused_name(const std::unordered_set<std::string>& taken, std::string name) {
  while (taken.contains(name)) name += '_';
  return name;
}

}  // namespace

std::string spell_bytes(std::string_view bytes) {
  static const std::array<std::string, 256> kSpelled = [] {
    std::array<std::string, 256> spelled;
    std::uint32_t next = 0x100;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      append_utf8(spelled[byte], printable ? byte : next++);
    }
    return spelled;
  }();
  std::string text;
  for (const char byte : bytes) text += kSpelled[static_cast<std::uint8_t>(byte)];
  return text;
}

std::string convert_to_sentencepiece(const BpeDefinition& definition, std::string_view name) {
  const std::vector<std::int64_t> rank_of = ranks(definition, name);
  const auto& added = definition.added.all();
  const std::int32_t last = added.empty() ? -1 : added.back().id;
  const std::int32_t size = std::max(definition.vocabulary.size(), last + 1);
  std::unordered_set<std::string> taken;
  for (std::int32_t id = 0; id < size; ++id) {
    taken.insert(spell_bytes(definition.vocabulary.bytes(id)));
  }
  std::string out;
  auto next = added.begin();
  for (std::int32_t id = 0; id < size; ++id) {
    const std::string_view bytes = definition.vocabulary.bytes(id);
    if (next != added.end() && next->id == id) {
      if (bytes.empty() && taken.contains(next->content)) {
        fail_data("{}: the added token {} is spelled like another token", name,
                  printable(next->content));
      }
      put_piece(out, next->content, 0, SentencePiece::kControl);
      ++next;
    } else if (bytes.empty()) {
      put_piece(out, unused_name(taken, fmt::format("<unused_{}>", id)), 0, SentencePiece::kUnused);
    } else {
      const std::int64_t rank = rank_of[static_cast<std::size_t>(id)];
      if (rank < 0 && bytes.size() > 1) {
        fail_data("{}: no merge makes the token {}", name, printable(bytes));
      }
      put_piece(out, spell_bytes(bytes), static_cast<float>(-rank), SentencePiece::kNormal);
    }
  }
  const std::string unknown = unused_name(taken, "<unk>");
  put_piece(out, unknown, 0, SentencePiece::kUnknown);
  put_specs(out, size, unknown);
  return out;
}

SpelledSentencePiece::SpelledSentencePiece(std::string_view model, bool nfc, std::string_view name)
    : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()), nfc_(nfc) {
  const auto status = processor_->LoadFromSerializedProto({model.data(), model.size()});
  if (!status.ok()) {
    fail_data("{}: SentencePiece refuses the model: {}", name, status.error_message());
  }
}

SpelledSentencePiece::~SpelledSentencePiece() = default;

std::vector<std::int32_t> SpelledSentencePiece::encode(std::string_view text) const {
  std::string buffer;
  if (nfc_) text = normalize_nfc(text, buffer);
  std::vector<std::int32_t> ids;
  std::vector<int> piece;
  for (QwenSplitter pieces(text); !pieces.done();) {
    const auto status = processor_->Encode(spell_bytes(pieces.next()), &piece);
    if (!status.ok()) fail_internal("SentencePiece cannot encode: {}", status.error_message());
    ids.insert(ids.end(), piece.begin(), piece.end());
  }
  return ids;
}

}  // namespace weft::data
