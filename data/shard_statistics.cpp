#include "data/shard_statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace weft::data {

namespace {

constexpr std::int64_t kBars = 20;

/// The smallest of 1, 2, 5, 10, 20, 50, … that `bars` of reach `top`.
std::int64_t round_width(std::int64_t top, std::int64_t bars) {
  std::int64_t width = 1;
  while (true) {
    for (const std::int64_t factor : {1, 2, 5}) {
      if (width * factor * bars > top) {
        return width * factor;
      }
    }
    width *= 10;
  }
}

}  // namespace

void DocumentStatistics::add(std::int64_t length, std::int64_t trained) {
  ++counts.documents;
  counts.tokens += length;
  counts.trained_tokens += trained;
  ++lengths[length];
  const std::int64_t tenth = length == 0 ? 0 : std::min<std::int64_t>(trained * 10 / length, 9);
  ++trained_share[static_cast<std::size_t>(tenth)];
}

void DocumentStatistics::add(const DocumentStatistics& other) {
  counts.documents += other.counts.documents;
  counts.tokens += other.counts.tokens;
  counts.trained_tokens += other.counts.trained_tokens;
  for (const auto& [length, documents] : other.lengths) {
    lengths[length] += documents;
  }
  for (std::size_t i = 0; i < trained_share.size(); ++i) {
    trained_share[i] += other.trained_share[i];
  }
}

std::int64_t DocumentStatistics::length_percentile(double percent) const {
  const double wanted = percent / 100 * static_cast<double>(counts.documents);
  std::int64_t seen = 0;
  for (const auto& [length, documents] : lengths) {
    seen += documents;
    if (static_cast<double>(seen) >= wanted) {
      return length;
    }
  }
  return 0;
}

double DocumentStatistics::mean_length() const {
  return counts.documents == 0
             ? 0
             : static_cast<double>(counts.tokens) / static_cast<double>(counts.documents);
}

double DocumentStatistics::trained_fraction() const {
  return counts.tokens == 0
             ? 0
             : static_cast<double>(counts.trained_tokens) / static_cast<double>(counts.tokens);
}

std::vector<HistogramBar> DocumentStatistics::length_histogram() const {
  std::vector<HistogramBar> bars;
  if (lengths.empty()) {
    return bars;
  }
  const std::int64_t longest = lengths.rbegin()->first;
  const std::int64_t usual = length_percentile(99);
  const bool tail = longest > 4 * usual;
  const std::int64_t width = round_width(tail ? usual : longest, kBars);
  const std::int64_t last = (tail ? usual : longest) / width;
  for (std::int64_t i = 0; i <= last; ++i) {
    bars.push_back({.from = i * width, .to = (i + 1) * width - 1});
  }
  if (tail) {
    bars.push_back({.from = (last + 1) * width, .to = longest});
  }
  for (const auto& [length, documents] : lengths) {
    const std::int64_t bar = std::min<std::int64_t>(length / width, std::ssize(bars) - 1);
    bars[static_cast<std::size_t>(bar)].documents += documents;
  }
  return bars;
}

ShardStatistics shard_statistics(const ShardSet& set,
                                 const std::function<void(std::int64_t)>& progress) {
  ShardStatistics statistics;
  statistics.sources.resize(set.manifest().sources.size());
  std::int64_t tokens = 0;
  for (const ShardReader& shard : set.shards()) {
    const std::vector<std::int64_t> trained = shard.trained_per_document();
    for (std::size_t i = 0; i < trained.size(); ++i) {
      const std::size_t source = shard.source(static_cast<std::int64_t>(i));
      if (source >= statistics.sources.size()) {
        statistics.sources.resize(source + 1);
      }
      statistics.sources[source].add(shard.offsets()[i + 1] - shard.offsets()[i], trained[i]);
    }
    tokens += shard.counts().tokens;
    if (progress) {
      progress(tokens);
    }
  }
  for (const DocumentStatistics& source : statistics.sources) {
    statistics.total.add(source);
  }
  return statistics;
}

}  // namespace weft::data
