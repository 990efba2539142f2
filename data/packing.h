#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/overlong.h"

namespace weft::data {

/// How documents become micro-batches.
struct LoaderOptions {
  std::int64_t max_length = 0;  ///< tokens
  std::int64_t batch_size = 1;  ///< sequences per micro-batch
  /// true: whole documents are packed into max_length x batch_size tokens. false: batch_size
  /// documents a batch.
  bool packing = true;
  /// true: another order each epoch, decided by `seed`. false: the data's own order.
  bool shuffle = true;
  std::uint64_t seed = 0;
  Overlong overlong = Overlong::kTruncate;  ///< what becomes of documents over max_length
  /// Shares of the sets in the documents of an epoch (data/mixture.h), one above 0 for each; empty:
  /// every document is in every epoch once.
  std::vector<double> weights = {};
  /// Of several ranks that share the work: rank r of W reads batches r, r + W, r + 2W … of the one
  /// sequence that all of them plan alike. Plans do not depend on it.
  std::int64_t rank = 0;
  std::int64_t world_size = 1;
};

/// One epoch: batch b is documents[starts[b] .. starts[b+1]), in that order. Without weights every
/// document is in exactly one batch.
struct EpochPlan {
  std::vector<std::int64_t> documents;
  std::vector<std::int64_t> starts{0};

  [[nodiscard]] std::int64_t batches() const {
    return static_cast<std::int64_t>(starts.size()) - 1;
  }
  [[nodiscard]] std::span<const std::int64_t> batch(std::int64_t index) const;
};

/// A pure function of its arguments: the same on every machine and after every restart. `lengths`
/// are those of all documents, each between 1 and options.max_length. `first` has the number of
/// documents before each source, and in all; it is used with options.weights alone.
///
/// Packed and shuffled, a batch is filled with documents in random order until it is nearly full
/// and then topped up with those that fit best among the next few thousand. So its lengths stay
/// mixed, as they would not in best-fit decreasing, and all but the last batches of an epoch are
/// full to a few tokens. Packed and not shuffled, a batch ends where the next document does not
/// fit.
[[nodiscard]] EpochPlan plan_epoch(std::span<const std::int32_t> lengths,
                                   const LoaderOptions& options, std::int64_t epoch,
                                   std::span<const std::int64_t> first = {});

}  // namespace weft::data
