#include "data/bpe_ideographs.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

namespace weft::data {

namespace {

constexpr std::uint32_t kFirst = 0x4000;
constexpr std::uint32_t kEnd = 0xA000;

std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

bool is_lead(std::uint8_t byte) { return byte >= 0xE4 && byte <= 0xE9; }
bool is_continuation(std::uint8_t byte) { return (byte & 0xC0) == 0x80; }

/// Whether an ideograph begins at `at`: its lead bytes have no other characters.
bool ideograph_at(std::string_view text, std::size_t at) {
  return text.size() - at >= 3 && is_lead(byte_at(text, at)) &&
         is_continuation(byte_at(text, at + 1)) && is_continuation(byte_at(text, at + 2));
}

/// The ranks of merges, as far as they concern ideographs.
class Ranks {
 public:
  static constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

  Ranks(const BpeVocabulary& vocabulary, std::span<const BpeMerge> merges) : merges_(merges) {
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      const BpeMerge& merge = merges[rank];
      const std::string_view left = vocabulary.bytes(merge.left);
      const std::string_view right = vocabulary.bytes(merge.right);
      if (left.size() + right.size() <= 3) pairs_.emplace(key(merge.left, merge.right), rank);
      if (is_continuation(byte_at(left, left.size() - 1))) as_right_.emplace(merge.right, rank);
      if (is_lead(byte_at(right, 0))) as_left_.emplace(merge.left, rank);
    }
  }

  [[nodiscard]] std::size_t of(std::int32_t left, std::int32_t right) const {
    return find(pairs_, key(left, right));
  }
  /// The first merge of this token with the end of an ideograph before it.
  [[nodiscard]] std::size_t first_with_before(std::int32_t id) const { return find(as_right_, id); }
  /// The first merge of this token with the beginning of an ideograph after it.
  [[nodiscard]] std::size_t first_with_after(std::int32_t id) const { return find(as_left_, id); }
  [[nodiscard]] std::int32_t merged(std::size_t rank) const { return merges_[rank].merged; }

 private:
  static std::uint64_t key(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 |
           static_cast<std::uint32_t>(right);
  }
  template <typename Map>
  static std::size_t find(const Map& map, typename Map::key_type key) {
    const auto found = map.find(key);
    return found == map.end() ? kNone : found->second;
  }

  std::span<const BpeMerge> merges_;
  std::unordered_map<std::uint64_t, std::size_t> pairs_;
  std::unordered_map<std::int32_t, std::size_t> as_right_;
  std::unordered_map<std::int32_t, std::size_t> as_left_;
};

/// The token of an ideograph of these bytes' ids, or -1 where it may not be put for them.
std::int32_t whole(const Ranks& ranks, std::int32_t first, std::int32_t second,
                   std::int32_t third) {
  const std::size_t begin = ranks.of(first, second);
  if (begin == Ranks::kNone || ranks.of(second, third) < begin) return -1;
  const std::int32_t half = ranks.merged(begin);
  const std::size_t end = ranks.of(half, third);
  if (end == Ranks::kNone) return -1;
  const std::size_t last = std::max(begin, end);
  const bool alone = ranks.first_with_before(first) > last &&
                     ranks.first_with_before(half) > last && ranks.first_with_after(third) > last;
  return alone ? ranks.merged(end) : -1;
}

}  // namespace

BpeIdeographs::BpeIdeographs(const BpeVocabulary& vocabulary, std::span<const BpeMerge> merges)
    : tokens_(kEnd - kFirst, -1) {
  const Ranks ranks(vocabulary, merges);
  const auto id = [&](std::uint32_t byte) {
    return vocabulary.byte_id(static_cast<std::uint8_t>(byte));
  };
  for (std::uint32_t c = kFirst; c < kEnd; ++c) {
    tokens_[c - kFirst] =
        whole(ranks, id(0xE0 | c >> 12), id(0x80 | (c >> 6 & 0x3F)), id(0x80 | (c & 0x3F)));
  }
}

void BpeIdeographs::spell(std::string_view word, const BpeVocabulary& vocabulary,
                          std::vector<std::int32_t>& symbols) const {
  symbols.clear();
  bool after_ideograph = true;  // or at the beginning
  for (std::size_t at = 0; at < word.size();) {
    const bool ideograph = ideograph_at(word, at);
    if (ideograph && after_ideograph && (at + 3 == word.size() || ideograph_at(word, at + 3))) {
      const std::uint32_t low =
          (byte_at(word, at + 1) & 0x3Fu) << 6 | (byte_at(word, at + 2) & 0x3Fu);
      const std::int32_t token = tokens_[((byte_at(word, at) & 0xFu) << 12 | low) - kFirst];
      if (token >= 0) {
        symbols.push_back(token);
        at += 3;
        continue;
      }
    }
    const std::size_t size = ideograph ? 3 : 1;
    for (std::size_t i = 0; i < size; ++i) {
      symbols.push_back(vocabulary.byte_id(byte_at(word, at + i)));
    }
    after_ideograph = ideograph;
    at += size;
  }
}

}  // namespace weft::data
