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
  /// The pairs must be distinct.
  explicit BpeMerges(std::span<const BpeMerge> merges);

  /// Replaces neighbours in `word` until no merge applies: always the pair of lowest rank, the
  /// leftmost of equal ones. n log n in the length of the word.
  void apply(std::vector<std::int32_t>& word) const;

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  struct Step {
    std::uint32_t rank = kNone;
    std::int32_t merged = 0;
  };
  struct Slot {
    std::uint64_t pair = ~std::uint64_t{0};
    Step step;
  };
  struct Symbol;
  struct Candidate;

  [[nodiscard]] std::size_t slot_of(std::uint64_t pair) const;
  [[nodiscard]] Step find(std::int32_t left, std::int32_t right) const;
  void apply_short(std::vector<std::int32_t>& word) const;
  void apply_long(std::vector<std::int32_t>& word) const;
  void join(std::vector<Symbol>& symbols, std::vector<Candidate>& queue) const;

  std::vector<Slot> slots_;
  int shift_ = 0;
  /// A bit for each pair's hash: most pairs that are asked for are no merges, and the bits stay in
  /// a processor's cache, which the slots do not.
  std::vector<std::uint64_t> known_;
  /// The steps of pairs of ids below 256, which in a byte-level vocabulary are the bytes: by
  /// left * 256 + right.
  std::vector<Step> small_;
};

}  // namespace weft::data
