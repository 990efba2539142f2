#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "data/shard_format.h"
#include "data/shard_set.h"

namespace weft::data {

/// Values from `from` up to `to`, both included, and how many documents have one.
struct HistogramBar {
  std::int64_t from = 0;
  std::int64_t to = 0;
  std::int64_t documents = 0;

  bool operator==(const HistogramBar&) const = default;
};

/// What a set of documents looks like.
struct DocumentStatistics {
  ShardCounts counts;
  std::map<std::int64_t, std::int64_t> lengths;  ///< tokens of a document -> number of documents
  /// Documents of which 0 to under 10%, 10 to under 20%, …, 90 to 100% of the tokens are targets.
  std::array<std::int64_t, 10> trained_share{};

  void add(std::int64_t length, std::int64_t trained);
  void add(const DocumentStatistics& other);
  /// The smallest length that `percent` of the documents do not exceed (nearest rank); 0 without
  /// documents.
  [[nodiscard]] std::int64_t length_percentile(double percent) const;
  [[nodiscard]] double mean_length() const;
  /// Trained tokens of all tokens, 0 to 1.
  [[nodiscard]] double trained_fraction() const;
  /// Up to 20 bars of equal, round width from 0 on. Where a few documents are far longer than the
  /// rest (over four times the 99th percentile), one last bar holds all of those.
  [[nodiscard]] std::vector<HistogramBar> length_histogram() const;
};

struct ShardStatistics {
  DocumentStatistics total;
  std::vector<DocumentStatistics> sources;  ///< by the number of the source
};

/// Reads the lengths and masks of all documents. `progress` is called with the tokens read so far.
[[nodiscard]] ShardStatistics shard_statistics(
    const ShardSet& set, const std::function<void(std::int64_t)>& progress = {});

}  // namespace weft::data
