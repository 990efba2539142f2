#include "data/bpe_vocabulary.h"

#include <algorithm>
#include <bit>

#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "data/tokenizer_added.h"
#include "data/tokenizer_utf8.h"

namespace weft::data {

namespace {

/// Byte by its character, for the characters U+0000 to U+0143; -1 for those not in the table.
std::array<int, 0x144> build_byte_table() {
  std::array<int, 0x144> table{};
  table.fill(-1);
  std::size_t next = 0x100;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    table[printable ? byte : next++] = static_cast<int>(byte);
  }
  return table;
}

std::uint32_t fold(std::uint64_t hash) { return static_cast<std::uint32_t>(hash ^ hash >> 32); }

}  // namespace

std::optional<std::string> unspell_bytes(std::string_view spelled) {
  static const std::array<int, 0x144> kTable = build_byte_table();
  std::string bytes;
  for (std::size_t at = 0; at < spelled.size();) {
    const Utf8Char c = utf8_char_at(spelled, at);
    if (c.code_point >= kTable.size() || kTable[c.code_point] < 0) return std::nullopt;
    bytes += static_cast<char>(kTable[c.code_point]);
    at += c.size;
  }
  return bytes;
}

BpeVocabulary::BpeVocabulary(const std::vector<Token>& tokens, std::string_view name) {
  place(tokens, name);
  index(name);
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const char text = static_cast<char>(byte);
    byte_ids_[byte] = find({&text, 1});
    if (byte_ids_[byte] < 0) {
      fail_data(
          "{}: the vocabulary has no token for the byte 0x{:02X}; a byte-level vocabulary has all "
          "256",
          name, byte);
    }
  }
}

void BpeVocabulary::place(const std::vector<Token>& tokens, std::string_view name) {
  std::size_t bytes = 0;
  std::int32_t last = -1;
  for (const Token& token : tokens) {
    if (token.id < 0 || token.id >= kMaxTokenId) {
      fail_data("{}: the token {} has id {}, outside 0 to {}", name, printable(token.bytes),
                token.id, kMaxTokenId - 1);
    }
    if (token.bytes.empty()) fail_data("{}: the token with id {} is empty", name, token.id);
    last = std::max(last, token.id);
    bytes += token.bytes.size();
  }
  text_.reserve(checked_cast<std::uint32_t>(bytes, name));
  places_.resize(static_cast<std::size_t>(last + 1));
  for (const Token& token : tokens) {
    Place& place = places_[static_cast<std::size_t>(token.id)];
    if (place.size != 0) {
      fail_data("{}: the tokens {} and {} both have id {}", name, printable(this->bytes(token.id)),
                printable(token.bytes), token.id);
    }
    place = {static_cast<std::uint32_t>(text_.size()),
             static_cast<std::uint32_t>(token.bytes.size())};
    text_ += token.bytes;
    longest_ = std::max(longest_, token.bytes.size());
  }
}

void BpeVocabulary::index(std::string_view name) {
  slots_.resize(std::bit_ceil(std::max<std::size_t>(2 * places_.size(), 2)));
  for (std::int32_t id = 0; id < size(); ++id) {
    const std::string_view token = bytes(id);
    if (token.empty()) continue;
    const std::uint32_t hash = fold(hash_of(token));
    Slot& slot = slots_[slot_of(token, hash)];
    if (slot.id >= 0) {
      fail_data("{}: the token {} stands twice, with ids {} and {}", name, printable(token),
                slot.id, id);
    }
    slot = {hash, id};
  }
}

/// The slot that holds these bytes, or the free one where they belong.
std::size_t BpeVocabulary::slot_of(std::string_view bytes, std::uint32_t hash) const {
  std::size_t slot = hash & (slots_.size() - 1);
  while (slots_[slot].id >= 0 &&
         (slots_[slot].hash != hash || this->bytes(slots_[slot].id) != bytes)) {
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return slot;
}

std::int32_t BpeVocabulary::find(std::string_view bytes, std::uint64_t hash) const {
  if (slots_.empty() || bytes.size() > longest_) return -1;
  return slots_[slot_of(bytes, fold(hash))].id;
}

std::string_view BpeVocabulary::bytes(std::int32_t id) const {
  if (id < 0 || id >= size()) return {};
  const Place& place = places_[static_cast<std::size_t>(id)];
  return std::string_view(text_).substr(place.begin, place.size);
}

}  // namespace weft::data
