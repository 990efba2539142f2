#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weft::data {

/// Two neighbouring tokens become one. Its rank is its place in the list of merges.
struct BpeMerge {
  std::int32_t left = 0;
  std::int32_t right = 0;
  std::int32_t merged = 0;
};

/// The merges of a byte-pair encoding. Immutable; const calls may come from several threads.
class BpeMerges {
 public:
  BpeMerges() = default;
  /// The pairs must be distinct, the ids below kMaxTokenId. A data Error for 2^20 merges and more.
  explicit BpeMerges(std::span<const BpeMerge> merges);

  /// Replaces neighbours in `word` until no merge applies: always the pair of lowest rank, the
  /// leftmost of equal ones. n log n in the length of the word.
  void apply(std::vector<std::int32_t>& word) const;

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  struct Symbol;
  struct Candidate;

  [[nodiscard]] std::size_t slot_of(std::uint64_t pair) const;
  [[nodiscard]] std::uint32_t rank(std::int32_t left, std::int32_t right) const;
  [[nodiscard]] std::int32_t merged(std::uint32_t rank) const { return merged_[rank]; }
  void apply_short(std::vector<std::int32_t>& word) const;
  void apply_long(std::vector<std::int32_t>& word) const;
  void join(std::vector<Symbol>& symbols, std::vector<Candidate>& queue) const;

  // What is slow is waiting for memory, so all of it is packed to stay in a processor's caches.
  std::vector<std::uint64_t> slots_;  ///< a hash table: left id, right id, rank in one number
  int shift_ = 0;
  std::vector<std::int32_t> merged_;  ///< by rank
  /// A bit for each pair's hash: most pairs that are asked for are no merges.
  std::vector<std::uint64_t> known_;
  /// The ranks of pairs of ids below 256, which in a byte-level vocabulary are the bytes: by
  /// left * 256 + right.
  std::vector<std::uint32_t> small_;
};

}  // namespace weft::data
