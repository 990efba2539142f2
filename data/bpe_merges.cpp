#include "data/bpe_merges.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/error.h"
#include "data/tokenizer_added.h"

namespace weft::data {

namespace {

/// Up to this length shifting arrays beats a heap.
constexpr std::size_t kShortWord = 48;

constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15;
constexpr std::int32_t kSmall = 256;
constexpr int kKnownShift = 64 - 21;  // 256 KiB of bits

constexpr int kIdBits = 22;
constexpr int kRankBits = 64 - 2 * kIdBits;
static_assert(kMaxTokenId <= std::int64_t{1} << kIdBits);
constexpr std::uint64_t kRankMask = (std::uint64_t{1} << kRankBits) - 1;
constexpr std::uint64_t kFree = ~std::uint64_t{0};

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << kIdBits |
         static_cast<std::uint32_t>(right);
}

}  // namespace

/// A token of a long word, linked to its neighbours; -1 where there is none.
struct BpeMerges::Symbol {
  std::int32_t id;
  std::int32_t previous;
  std::int32_t next;
};

/// A merge that could be applied at a symbol and the one after it, unless one of them has changed.
struct BpeMerges::Candidate {
  std::uint32_t rank;
  std::int32_t at;

  /// A heap has its largest on top: the lowest rank, then the leftmost.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : at > other.at;
  }
};

BpeMerges::BpeMerges(std::span<const BpeMerge> merges) {
  if (merges.size() >= kRankMask) {
    fail_data("a byte-level BPE of {} merges; weft takes fewer than {}", merges.size(), kRankMask);
  }
  slots_.resize(std::bit_ceil(std::max<std::size_t>(merges.size() * 3 / 2, 2)), kFree);
  shift_ = 64 - std::countr_zero(slots_.size());
  known_.resize((std::uint64_t{1} << (64 - kKnownShift)) / 64);
  small_.resize(static_cast<std::size_t>(kSmall) * kSmall, kNone);
  for (const BpeMerge& merge : merges) {
    const auto rank = static_cast<std::uint32_t>(merged_.size());
    const std::uint64_t pair = pair_of(merge.left, merge.right);
    merged_.push_back(merge.merged);
    slots_[slot_of(pair)] = pair << kRankBits | rank;
    const std::uint64_t bit = pair * kMultiplier >> kKnownShift;
    known_[bit / 64] |= std::uint64_t{1} << bit % 64;
    if ((merge.left | merge.right) < kSmall) {
      small_[static_cast<std::size_t>(merge.left * kSmall + merge.right)] = rank;
    }
  }
}

/// The slot that holds the pair, or the free one where it belongs.
inline std::size_t BpeMerges::slot_of(std::uint64_t pair) const {
  std::size_t slot = pair * kMultiplier >> shift_;
  while (slots_[slot] != kFree && slots_[slot] >> kRankBits != pair) {
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return slot;
}

/// The rank of a pair's merge, or kNone.
inline std::uint32_t BpeMerges::rank(std::int32_t left, std::int32_t right) const {
  if ((left | right) < kSmall) return small_[static_cast<std::size_t>(left * kSmall + right)];
  const std::uint64_t pair = pair_of(left, right);
  const std::uint64_t bit = pair * kMultiplier >> kKnownShift;
  if ((known_[bit / 64] >> bit % 64 & 1) == 0) return kNone;
  const std::uint64_t slot = slots_[slot_of(pair)];
  return slot == kFree ? kNone : static_cast<std::uint32_t>(slot & kRankMask);
}

void BpeMerges::apply(std::vector<std::int32_t>& word) const {
  if (word.size() < 2 || slots_.empty()) return;
  if (word.size() <= kShortWord) {
    apply_short(word);
  } else {
    apply_long(word);
  }
}

void BpeMerges::apply_short(std::vector<std::int32_t>& word) const {
  std::array<std::uint32_t, kShortWord> ranks;  // ranks[i] is of word[i] and word[i + 1]
  std::size_t count = word.size() - 1;
  for (std::size_t i = 0; i < count; ++i) ranks[i] = rank(word[i], word[i + 1]);
  while (count > 0) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < count; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == kNone) break;
    word[best] = merged(ranks[best]);
    std::copy(word.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              word.begin() + static_cast<std::ptrdiff_t>(count) + 1,
              word.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    std::copy(ranks.begin() + best + 1, ranks.begin() + count, ranks.begin() + best);
    --count;
    if (best > 0) ranks[best - 1] = rank(word[best - 1], word[best]);
    if (best < count) ranks[best] = rank(word[best], word[best + 1]);
  }
  word.resize(count + 1);
}

void BpeMerges::apply_long(std::vector<std::int32_t>& word) const {
  const auto count = static_cast<std::int32_t>(word.size());
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  std::vector<Candidate> queue;
  for (std::int32_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    symbols.push_back({word[at], i - 1, i + 1 < count ? i + 1 : -1});
    if (i + 1 == count) break;
    if (const std::uint32_t found = rank(word[at], word[at + 1]); found != kNone) {
      queue.push_back({found, i});
    }
  }
  std::make_heap(queue.begin(), queue.end());
  join(symbols, queue);
  word.clear();
  for (std::int32_t i = 0; i >= 0; i = symbols[static_cast<std::size_t>(i)].next) {
    word.push_back(symbols[static_cast<std::size_t>(i)].id);
  }
}

void BpeMerges::join(std::vector<Symbol>& symbols, std::vector<Candidate>& queue) const {
  const auto symbol = [&](std::int32_t i) -> Symbol& {
    return symbols[static_cast<std::size_t>(i)];
  };
  const auto consider = [&](std::int32_t at) {
    if (at < 0 || symbol(at).next < 0) return;
    const std::uint32_t found = rank(symbol(at).id, symbol(symbol(at).next).id);
    if (found == kNone) return;
    queue.push_back({found, at});
    std::push_heap(queue.begin(), queue.end());
  };
  constexpr std::int32_t kGone = -1;
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end());
    const Candidate candidate = queue.back();
    queue.pop_back();
    Symbol& left = symbol(candidate.at);
    if (left.id == kGone || left.next < 0) continue;
    Symbol& right = symbol(left.next);
    if (rank(left.id, right.id) != candidate.rank) continue;
    left.id = merged(candidate.rank);
    right.id = kGone;
    left.next = right.next;
    if (left.next >= 0) symbol(left.next).previous = candidate.at;
    consider(left.previous);
    consider(candidate.at);
  }
}

}  // namespace weft::data
