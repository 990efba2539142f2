#include "data/mixture.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"

namespace weft::data {

namespace {

/// Keeps the orders of rounds apart from other uses of the same seed. A source has its number in
/// the bits above those of the round.
constexpr std::uint64_t kStream = std::uint64_t{0x6d69'7874} << 32;
constexpr int kSourceShift = 48;

/// Gives the documents of one source round and round, from any position on.
class Rounds {
 public:
  Rounds(std::int64_t first, std::int64_t size, std::size_t source, bool shuffle,
         std::uint64_t seed)
      : first_(first), source_(source), shuffle_(shuffle), seed_(seed) {
    order_.resize(static_cast<std::size_t>(size));
  }

  /// Appends `count` documents; `position` is the number of those given before.
  void append(std::int64_t position, std::int64_t count, std::vector<std::int64_t>& out) {
    const auto size = static_cast<std::int64_t>(order_.size());
    for (std::int64_t round = position / size, at = position % size; count > 0; ++round, at = 0) {
      make_order(round);
      const std::int64_t some = std::min(count, size - at);
      out.insert(out.end(), order_.begin() + at, order_.begin() + at + some);
      count -= some;
    }
  }

 private:
  void make_order(std::int64_t round) {
    std::iota(order_.begin(), order_.end(), first_);
    if (shuffle_) {
      Random random(seed_, (kStream + static_cast<std::uint64_t>(round)) ^
                               (static_cast<std::uint64_t>(source_) << kSourceShift));
      random.shuffle(order_);
    }
  }

  std::int64_t first_;
  std::size_t source_;
  bool shuffle_;
  std::uint64_t seed_;
  std::vector<std::int64_t> order_;
};

/// Every source's documents at even distances; `first` has the place of each source in `documents`.
std::vector<std::int64_t> spread(const std::vector<std::int64_t>& documents,
                                 const std::vector<std::int64_t>& counts) {
  struct Slot {
    double at;
    std::int64_t document;
  };
  std::vector<Slot> slots;
  slots.reserve(documents.size());
  for (const std::int64_t count : counts) {
    for (std::int64_t i = 0; i < count; ++i) {
      slots.push_back(
          {(static_cast<double>(i) + 0.5) / static_cast<double>(count), documents[slots.size()]});
    }
  }
  std::stable_sort(slots.begin(), slots.end(),
                   [](const Slot& a, const Slot& b) { return a.at < b.at; });
  std::vector<std::int64_t> mixed(slots.size());
  std::transform(slots.begin(), slots.end(), mixed.begin(),
                 [](const Slot& slot) { return slot.document; });
  return mixed;
}

}  // namespace

std::vector<std::int64_t> mixture_counts(std::int64_t total, std::span<const double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::int64_t> counts;
  std::vector<double> remainders;
  for (const double weight : weights) {
    const double share = static_cast<double>(total) * (weight / sum);
    counts.push_back(static_cast<std::int64_t>(std::floor(share)));
    remainders.push_back(share - std::floor(share));
  }
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return remainders[a] > remainders[b]; });
  std::int64_t left = total - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  for (std::size_t i = 0; left > 0 && i < order.size(); ++i, --left) {
    ++counts[order[i]];
  }
  return counts;
}

std::vector<std::int64_t> mixture_epoch(std::span<const std::int64_t> first,
                                        std::span<const double> weights, bool shuffle,
                                        std::uint64_t seed, std::int64_t epoch) {
  const std::vector<std::int64_t> counts = mixture_counts(first.back() - first.front(), weights);
  std::vector<std::int64_t> documents;
  for (std::size_t s = 0; s < counts.size(); ++s) {
    Rounds rounds(first[s], first[s + 1] - first[s], s, shuffle, seed);
    rounds.append(epoch * counts[s], counts[s], documents);
  }
  if (!shuffle) {
    return spread(documents, counts);
  }
  Random random(seed, (kStream ^ (std::uint64_t{1} << 63U)) + static_cast<std::uint64_t>(epoch));
  random.shuffle(documents);
  return documents;
}

}  // namespace weft::data
