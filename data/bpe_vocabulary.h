#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::data {

/// The bytes that a byte-level BPE file spells as `spelled`: one printable character for each byte
/// (GPT-2's table, in which a space is U+0120). Nothing when a character is not in the table.
[[nodiscard]] std::optional<std::string> unspell_bytes(std::string_view spelled);

/// The tokens of a byte-level BPE: ids and their bytes. Immutable; const calls may come from
/// several threads.
class BpeVocabulary {
 public:
  struct Token {
    std::string bytes;
    std::int32_t id = 0;
  };

  BpeVocabulary() = default;
  /// Ids may have gaps. A data Error that starts with `name` when an id or a token stands twice, an
  /// id is out of range, a token is empty, or one of the 256 bytes has no token.
  BpeVocabulary(const std::vector<Token>& tokens, std::string_view name);

  /// The id of the token with these bytes, or -1.
  [[nodiscard]] std::int32_t find(std::string_view bytes) const {
    return find(bytes, hash_of(bytes));
  }
  /// The same where the caller has hash_of(bytes).
  [[nodiscard]] std::int32_t find(std::string_view bytes, std::uint64_t hash) const;
  [[nodiscard]] static std::uint64_t hash_of(std::string_view bytes) {
    return std::hash<std::string_view>()(bytes);
  }
  /// The bytes of a token; "" when no token has this id.
  [[nodiscard]] std::string_view bytes(std::int32_t id) const;
  [[nodiscard]] std::int32_t byte_id(std::uint8_t byte) const { return byte_ids_[byte]; }
  /// The largest id + 1.
  [[nodiscard]] std::int32_t size() const { return static_cast<std::int32_t>(places_.size()); }
  [[nodiscard]] std::size_t longest() const { return longest_; }

 private:
  struct Place {
    std::uint32_t begin = 0;
    std::uint32_t size = 0;
  };
  struct Slot {
    std::uint32_t hash = 0;
    std::int32_t id = -1;
  };

  void place(const std::vector<Token>& tokens, std::string_view name);
  void index(std::string_view name);
  [[nodiscard]] std::size_t slot_of(std::string_view bytes, std::uint32_t hash) const;

  std::string text_;           // the bytes of all tokens
  std::vector<Place> places_;  // by id
  std::vector<Slot> slots_;
  std::array<std::int32_t, 256> byte_ids_{};
  std::size_t longest_ = 0;
};

}  // namespace weft::data
