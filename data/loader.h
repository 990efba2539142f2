#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "data/packing.h"
#include "data/shard_set.h"

namespace weft::data {

class Prefetcher;

/// Whole documents laid end to end: T tokens, B documents.
struct MicroBatch {
  std::vector<std::int32_t> tokens;  ///< [T]
  std::vector<std::uint8_t>
      mask;  ///< [T], 1: the token is a target; 0 for the first of each document
  std::vector<std::int32_t>
      cu_seqlens;  ///< [B+1], from 0 to T: document b is tokens[cu_seqlens[b] .. [b+1])
  std::int32_t max_seqlen = 0;      ///< longest document
  std::int64_t trained_tokens = 0;  ///< sum of mask; may be 0

  bool operator==(const MicroBatch&) const = default;
};

/// Where a loader stands, and all that it must remember: the next batch is batch `batch` of epoch
/// `epoch`.
struct LoaderState {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;

  bool operator==(const LoaderState&) const = default;
};

/// Gives micro-batches without end, epoch after epoch; each epoch holds every document exactly
/// once. A thread reads ahead. The sequence is a pure function of the shards, the options and the
/// start: a loader that starts at the state of another goes on exactly as that one does. Used from
/// one thread.
class Loader {
 public:
  /// Several sets are read as one after the other. Config Errors for options out of range; data
  /// Errors when there is no document, or when `start` lies outside the epoch (the data or the
  /// options changed). Documents over max_length are cut, which is logged once with their number.
  Loader(std::vector<std::shared_ptr<const ShardSet>> sets, const LoaderOptions& options,
         LoaderState start = {});
  /// Stops the thread; takes no longer than one read.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next batch. What goes wrong on the thread is thrown here, at the batch it belongs to, and
  /// again at every later call.
  [[nodiscard]] MicroBatch next();
  /// After the batches that next() has given, however far the thread has read ahead.
  [[nodiscard]] LoaderState state() const { return state_; }
  /// Batches of an epoch; packing makes it differ a little from epoch to epoch.
  [[nodiscard]] std::int64_t batches_in_epoch(std::int64_t epoch) const;

  [[nodiscard]] std::int64_t documents() const {
    return static_cast<std::int64_t>(lengths_.size());
  }
  /// Tokens of one epoch, after cutting.
  [[nodiscard]] std::int64_t tokens_in_epoch() const { return tokens_; }
  /// Documents that are cut to max_length.
  [[nodiscard]] std::int64_t cut_documents() const { return cut_; }

 private:
  void read_lengths();
  [[nodiscard]] std::shared_ptr<const EpochPlan> plan(std::int64_t epoch) const;
  [[nodiscard]] LoaderState normalised(LoaderState state) const;
  [[nodiscard]] LoaderState after(LoaderState state) const;
  [[nodiscard]] MicroBatch assemble(LoaderState state) const;
  void read_document(std::int64_t document, MicroBatch& batch) const;

  std::vector<std::shared_ptr<const ShardSet>> sets_;
  std::vector<std::int64_t> first_{0};  ///< documents before each set, and in all
  LoaderOptions options_;
  std::vector<std::int32_t> lengths_;  ///< of every document, cut
  std::int64_t tokens_ = 0;
  std::int64_t cut_ = 0;
  LoaderState state_;

  mutable std::mutex plan_mutex_;
  mutable std::vector<std::pair<std::int64_t, std::shared_ptr<const EpochPlan>>> plans_;

  std::unique_ptr<Prefetcher> prefetcher_;  ///< last: its thread uses all of the above
};

}  // namespace weft::data
