#include "data/packing.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "base/random.h"
#include "data/mixture.h"

namespace weft::data {

namespace {

/// Documents that may be chosen from to fill a gap: more fill better and mix less.
constexpr std::size_t kWindow = 4096;
/// Keeps the streams of epochs apart from other uses of the same seed.
constexpr std::uint64_t kStream = std::uint64_t{0x6461'7461} << 32;

void end_batch(EpochPlan& plan) {
  plan.starts.push_back(static_cast<std::int64_t>(plan.documents.size()));
}

/// The next documents of a random order, as a queue and by length.
class Window {
 public:
  Window(std::span<const std::int32_t> lengths, std::span<const std::int64_t> order)
      : lengths_(lengths), order_(order), taken_(order.size(), false) {
    refill();
  }

  [[nodiscard]] bool empty() const { return by_length_.empty(); }

  /// The length of the document that has waited longest.
  [[nodiscard]] std::int64_t oldest_length() {
    while (taken_[oldest_]) {
      ++oldest_;
    }
    return length(oldest_);
  }
  [[nodiscard]] std::int64_t longest_length() const { return by_length_.rbegin()->first; }

  std::int64_t take_oldest() { return take({oldest_length(), oldest_}); }

  /// The longest document of at most `gap` tokens, or -1 when none fits.
  std::int64_t take_best(std::int64_t gap) {
    const auto after = by_length_.lower_bound({gap + 1, 0});
    return after == by_length_.begin() ? -1 : take(*std::prev(after));
  }

 private:
  using Entry = std::pair<std::int64_t, std::size_t>;  ///< length, place in order_

  [[nodiscard]] std::int64_t length(std::size_t place) const {
    return lengths_[static_cast<std::size_t>(order_[place])];
  }

  std::int64_t take(Entry entry) {
    by_length_.erase(entry);
    taken_[entry.second] = true;
    refill();
    return order_[entry.second];
  }

  void refill() {
    while (by_length_.size() < kWindow && next_ < order_.size()) {
      by_length_.emplace(length(next_), next_);
      ++next_;
    }
  }

  std::span<const std::int32_t> lengths_;
  std::span<const std::int64_t> order_;
  std::vector<bool> taken_;
  std::set<Entry> by_length_;
  std::size_t next_ = 0;
  std::size_t oldest_ = 0;
};

EpochPlan pack_shuffled(std::span<const std::int32_t> lengths, std::span<const std::int64_t> order,
                        std::int64_t budget) {
  EpochPlan plan;
  Window window(lengths, order);
  const auto add = [&](std::int64_t document) {
    plan.documents.push_back(document);
    return std::int64_t{lengths[static_cast<std::size_t>(document)]};
  };
  while (!window.empty()) {
    std::int64_t gap = budget - add(window.take_oldest());
    // Leave room for two more by best fit: the second then has many lengths to choose from.
    while (!window.empty() && gap - window.oldest_length() >= 2 * window.longest_length()) {
      gap -= add(window.take_oldest());
    }
    while (gap > 0) {
      const std::int64_t document = window.take_best(gap);
      if (document < 0) {
        break;
      }
      gap -= add(document);
    }
    end_batch(plan);
  }
  return plan;
}

EpochPlan pack_in_order(std::span<const std::int32_t> lengths, std::vector<std::int64_t> order,
                        std::int64_t budget) {
  EpochPlan plan;
  std::int64_t used = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::int32_t length = lengths[static_cast<std::size_t>(order[i])];
    if (used + length > budget) {
      plan.starts.push_back(static_cast<std::int64_t>(i));
      used = 0;
    }
    used += length;
  }
  plan.documents = std::move(order);
  end_batch(plan);
  return plan;
}

EpochPlan group(std::vector<std::int64_t> order, std::int64_t batch_size) {
  EpochPlan plan;
  const auto count = static_cast<std::int64_t>(order.size());
  plan.documents = std::move(order);
  for (std::int64_t end = batch_size; end < count; end += batch_size) {
    plan.starts.push_back(end);
  }
  end_batch(plan);
  return plan;
}

/// The same batches in random order: the last ones that packing makes had less to choose from.
EpochPlan shuffle_batches(const EpochPlan& plan, Random& random) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(plan.batches()));
  std::iota(order.begin(), order.end(), 0);
  random.shuffle(order);
  EpochPlan shuffled;
  shuffled.documents.reserve(plan.documents.size());
  for (const std::int64_t index : order) {
    const auto batch = plan.batch(index);
    shuffled.documents.insert(shuffled.documents.end(), batch.begin(), batch.end());
    end_batch(shuffled);
  }
  return shuffled;
}

/// The documents of an epoch in the order to read or to pack them.
std::vector<std::int64_t> epoch_order(std::size_t count, const LoaderOptions& options,
                                      std::int64_t epoch, std::span<const std::int64_t> first,
                                      Random& random) {
  if (!options.weights.empty()) {
    return mixture_epoch(first, options.weights, options.shuffle, options.seed, epoch);
  }
  std::vector<std::int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  if (options.shuffle) {
    random.shuffle(order);
  }
  return order;
}

}  // namespace

std::span<const std::int64_t> EpochPlan::batch(std::int64_t index) const {
  const auto begin = static_cast<std::size_t>(starts.at(static_cast<std::size_t>(index)));
  const auto end = static_cast<std::size_t>(starts.at(static_cast<std::size_t>(index) + 1));
  return std::span(documents).subspan(begin, end - begin);
}

EpochPlan plan_epoch(std::span<const std::int32_t> lengths, const LoaderOptions& options,
                     std::int64_t epoch, std::span<const std::int64_t> first) {
  if (lengths.empty()) {
    return {};
  }
  const std::int64_t budget = options.max_length * options.batch_size;
  Random random(options.seed, kStream + static_cast<std::uint64_t>(epoch));
  std::vector<std::int64_t> order = epoch_order(lengths.size(), options, epoch, first, random);
  if (!options.packing) {
    return group(std::move(order), options.batch_size);
  }
  if (!options.shuffle) {
    return pack_in_order(lengths, std::move(order), budget);
  }
  return shuffle_batches(pack_shuffled(lengths, order, budget), random);
}

}  // namespace weft::data
