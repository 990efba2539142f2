#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace weft::data {

/// 128 bits of the SHA-256 of what a row says: equal for rows that would be trained on alike,
/// whatever file, shape and order of columns they come in, and whatever the tokenizer is.
using ContentHash = std::array<std::uint64_t, 2>;

[[nodiscard]] ContentHash content_hash(std::string_view canonical);

/// A set of hashes in 16 bytes each, at most two thirds full. Used from one thread.
class ContentSet {
 public:
  /// False when it was there already.
  bool insert(const ContentHash& hash);
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  [[nodiscard]] std::size_t find(const ContentHash& hash) const;
  void grow();

  std::vector<ContentHash> slots_;  ///< empty: both words 0
  std::size_t size_ = 0;
  bool has_zero_ = false;  ///< the one hash that looks like an empty slot
};

/// Which rows belong to a part of the data, by their content alone: a row stays on its side when
/// others are added, removed or reordered, and equal rows are on one side.
class SplitSide {
 public:
  /// The whole.
  SplitSide() = default;
  /// Hashes below `bound`, as a share of all hashes in [0, 1], are validation.
  [[nodiscard]] static SplitSide of_share(double share, bool validation);
  /// The `count` smallest of the different hashes in `all` are validation.
  [[nodiscard]] static SplitSide of_count(std::vector<ContentHash> all, std::int64_t count,
                                          bool validation);

  [[nodiscard]] bool contains(const ContentHash& hash) const {
    return !bound_ || (hash < *bound_) == validation_;
  }

 private:
  std::optional<ContentHash> bound_;  ///< not set: everything
  bool validation_ = false;
};

}  // namespace weft::data
