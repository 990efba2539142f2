#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "data/loader_documents.h"

namespace weft::data {

template <typename T>
class Prefetcher;

/// Where a loader stands, and all that it must remember: the batches of all ranks before batch
/// `batch` of epoch `epoch` have been given. It is the same on all ranks after the same number of
/// batches, and means the same whatever the number of ranks.
struct LoaderState {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;

  bool operator==(const LoaderState&) const = default;
};

/// Gives micro-batches without end, epoch after epoch; each epoch holds every document exactly
/// once, or mixed by weights. A thread reads ahead, and for compressed shards far ahead: up to
/// three windows of kCompressedWindow tokens, 5 bytes each, are in memory. The sequence is a pure
/// function of the shards, the options and the start: a loader that starts at the state of another
/// goes on exactly as that one does. Of W ranks each gives every W-th batch of that sequence,
/// across the ends of epochs: W x n batches in a row are the same documents whatever W is. Used
/// from one thread.
class Loader {
 public:
  /// Several sets are read as one after the other. Config Errors for options out of range; data
  /// Errors when there is no document, or when `start` lies outside the epoch (the data or the
  /// options changed). What becomes of documents over max_length is logged once with their number.
  Loader(std::vector<std::shared_ptr<const ShardSet>> sets, const LoaderOptions& options,
         LoaderState start = {});
  /// Stops the thread; waits for the reading under way, of compressed shards a second or two.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// This rank's next batch. What goes wrong on the thread is thrown here, at the batch it belongs
  /// to, and again at every later call.
  [[nodiscard]] MicroBatch next();
  /// After the batches that next() has given and those of the other ranks beside them, however far
  /// the thread has read ahead.
  [[nodiscard]] LoaderState state() const { return state_; }
  /// Goes on at another place, as a new loader would, but does not read the documents' lengths
  /// again. For ranks that end an epoch together though its batches do not go round evenly.
  void seek(LoaderState state);
  /// Batches of an epoch, for all ranks together; packing makes it differ a little from epoch to
  /// epoch.
  [[nodiscard]] std::int64_t batches_in_epoch(std::int64_t epoch) const;

  /// Documents of all sets after splitting or leaving out those over max_length.
  [[nodiscard]] std::int64_t documents() const { return documents_.count(); }
  /// Tokens of all of them: those of an epoch without weights.
  [[nodiscard]] std::int64_t tokens() const { return documents_.tokens(); }
  /// Documents that were over max_length.
  [[nodiscard]] std::int64_t overlong_documents() const { return documents_.overlong(); }

 private:
  void read_ahead();
  [[nodiscard]] std::shared_ptr<const EpochPlan> plan(std::int64_t epoch) const;
  [[nodiscard]] LoaderState normalised(LoaderState state) const;
  [[nodiscard]] LoaderState after(LoaderState state, std::int64_t batches) const;
  /// The batches of this rank in the next window of reading, which begins after `done`; moves
  /// `done` past it.
  [[nodiscard]] std::vector<MicroBatch> read_window(LoaderState& done);

  LoaderOptions options_;
  LoaderDocuments documents_;
  LoaderState state_;

  mutable std::mutex plan_mutex_;
  mutable std::vector<std::pair<std::int64_t, std::shared_ptr<const EpochPlan>>> plans_;

  std::int64_t window_tokens_ = 1;  ///< of the next window; for the thread alone
  bool windows_grow_ = true;        ///< likewise; false after an error
  std::vector<MicroBatch> window_;  ///< of which next() has given the first `given_`
  std::size_t given_ = 0;
  std::unique_ptr<Prefetcher<std::vector<MicroBatch>>>
      prefetcher_;  ///< last: its thread uses all of the above
};

}  // namespace weft::data
