#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/sha256.h"

namespace weft::data {

/// One past the largest id that weft accepts: bounds what a tokenizer file can make it allocate.
inline constexpr std::int64_t kMaxTokenId = 1 << 22;

/// A token that is found in the text itself, not by the model: control tokens and tags.
struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool special = false;     ///< left out by decode on request
  bool normalized = false;  ///< looked for in the normalised text instead of the text as given
};

/// Finds the names of a set of tokens in a text: at the leftmost place, the longest that matches.
class AddedTokenMatcher {
 public:
  struct Match {
    std::size_t begin;
    std::size_t size;
    std::int32_t id;
  };

  AddedTokenMatcher() = default;
  explicit AddedTokenMatcher(std::vector<std::pair<std::string, std::int32_t>> tokens);

  [[nodiscard]] bool empty() const { return tokens_.empty(); }
  /// The first match at or after `from`.
  [[nodiscard]] std::optional<Match> find(std::string_view text, std::size_t from) const;

 private:
  [[nodiscard]] std::optional<Match> match_at(std::string_view text, std::size_t at) const;

  std::vector<std::pair<std::string, std::int32_t>> tokens_;  // sorted by name
  std::string first_bytes_;
};

/// The added tokens of a tokenizer.
class AddedTokens {
 public:
  AddedTokens() = default;
  /// A data Error that starts with `name` for too many, an empty or overlong name, an id out of
  /// range, and a name or id that stands twice.
  AddedTokens(std::vector<AddedToken> tokens, std::string_view name);

  /// In order of their ids.
  [[nodiscard]] const std::vector<AddedToken>& all() const { return tokens_; }
  [[nodiscard]] std::optional<std::int32_t> id(std::string_view content) const;
  /// Those to be found in the text as given, and in the normalised text.
  [[nodiscard]] const AddedTokenMatcher& raw() const { return raw_; }
  [[nodiscard]] const AddedTokenMatcher& normalized() const { return normalized_; }
  /// Adds ids and names, not the flags that only decode uses.
  void fingerprint(Sha256& hash) const;

 private:
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, std::int32_t> ids_;
  AddedTokenMatcher raw_;
  AddedTokenMatcher normalized_;
};

/// Adds a number, or a text with its length before it, in a form that cannot be read two ways.
void hash_number(Sha256& hash, std::int64_t number);
void hash_text(Sha256& hash, std::string_view text);

}  // namespace weft::data
