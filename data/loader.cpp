#include "data/loader.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "data/loader_prefetch.h"

namespace weft::data {

namespace {

/// Windows that are ready or being read beside the one that next() gives from.
constexpr std::size_t kPrefetch = 1;
/// Tokens that are read at once. Of compressed shards as many as memory allows: the more, the more
/// documents there are for each chunk that is decoded.
constexpr std::int64_t kFirstWindow = std::int64_t{16} << 10;
constexpr std::int64_t kWindowGrowth = 8;
constexpr std::int64_t kPlainWindow = std::int64_t{128} << 10;
constexpr std::int64_t kCompressedWindow = std::int64_t{16} << 20;
/// The epoch being trained, the one being read ahead, and one that was asked about.
constexpr std::size_t kPlansKept = 3;

LoaderOptions checked(const LoaderOptions& options) {
  if (options.max_length < 1 || options.batch_size < 1 ||
      options.max_length > std::numeric_limits<std::int32_t>::max() / options.batch_size) {
    fail_config(
        "max_length {} and batch size {}: each must be at least 1 and their product below 2^31",
        options.max_length, options.batch_size);
  }
  if (options.world_size < 1 || options.rank < 0 || options.rank >= options.world_size) {
    fail_config("rank {} of {}: expected a rank from 0 to one below the number of ranks",
                options.rank, options.world_size);
  }
  for (const double weight : options.weights) {
    if (!(weight > 0) || !std::isfinite(weight)) {
      fail_config("weight {}: expected a number above 0", weight);
    }
  }
  return options;
}

}  // namespace

Loader::Loader(std::vector<std::shared_ptr<const ShardSet>> sets, const LoaderOptions& options,
               LoaderState start)
    : options_(checked(options)), documents_(std::move(sets), options_) {
  state_ = normalised(start);
  read_ahead();
}

void Loader::read_ahead() {
  prefetcher_ = std::make_unique<Prefetcher<std::vector<MicroBatch>>>(
      [this, done = state_]() mutable { return read_window(done); }, kPrefetch);
}

void Loader::seek(LoaderState state) {
  const LoaderState next = normalised(state);  // refused, it leaves the loader as it was
  prefetcher_.reset();
  window_.clear();
  given_ = 0;
  state_ = next;
  read_ahead();
}

Loader::~Loader() = default;

std::shared_ptr<const EpochPlan> Loader::plan(std::int64_t epoch) const {
  {
    const std::scoped_lock lock(plan_mutex_);
    const auto found = std::find_if(plans_.begin(), plans_.end(),
                                    [&](const auto& entry) { return entry.first == epoch; });
    if (found != plans_.end()) {
      std::rotate(found, found + 1, plans_.end());  // to the end: used last
      return plans_.back().second;
    }
  }
  // Made without the lock, so that next() never waits for the plan of a later epoch.
  auto made = std::make_shared<const EpochPlan>(
      plan_epoch(documents_.lengths(), options_, epoch, documents_.first()));
  const std::scoped_lock lock(plan_mutex_);
  if (plans_.size() == kPlansKept) {
    plans_.erase(plans_.begin());
  }
  plans_.emplace_back(epoch, made);
  return made;
}

std::int64_t Loader::batches_in_epoch(std::int64_t epoch) const { return plan(epoch)->batches(); }

LoaderState Loader::normalised(LoaderState state) const {
  const bool negative = state.epoch < 0 || state.batch < 0;
  const std::int64_t batches = negative ? 0 : batches_in_epoch(state.epoch);
  if (negative || state.batch > batches) {
    fail_data(
        "cannot go on at batch {} of epoch {}, which has {}: the data, max_length, the batch "
        "size or packing changed since that state was saved",
        state.batch, state.epoch, batches);
  }
  return state.batch == batches ? LoaderState{.epoch = state.epoch + 1, .batch = 0} : state;
}

LoaderState Loader::after(LoaderState state, std::int64_t batches) const {
  std::int64_t left = batches_in_epoch(state.epoch) - state.batch;
  while (batches >= left) {  // an epoch may have fewer batches than there are ranks
    batches -= left;
    ++state.epoch;
    state.batch = 0;
    left = batches_in_epoch(state.epoch);
  }
  state.batch += batches;
  return state;
}

MicroBatch Loader::next() {
  if (given_ == window_.size()) {
    window_.clear();
    given_ = 0;
    window_ = prefetcher_->next();
  }
  MicroBatch batch = std::move(window_[given_++]);
  state_ = after(state_, options_.world_size);
  return batch;
}

std::vector<MicroBatch> Loader::read_window(LoaderState& done) {
  std::vector<std::shared_ptr<const EpochPlan>> plans;  // keep the documents' lists alive
  std::vector<std::span<const std::int64_t>> batches;
  LoaderState end = done;
  for (std::int64_t tokens = 0; tokens < window_tokens_;) {
    const LoaderState at = after(end, options_.rank);
    plans.push_back(plan(at.epoch));
    batches.push_back(plans.back()->batch(at.batch));
    for (const std::int64_t document : batches.back()) {
      tokens += documents_.lengths()[static_cast<std::size_t>(document)];
    }
    end = after(end, options_.world_size);
  }
  std::vector<MicroBatch> made;
  try {
    made = documents_.read(batches);
    done = end;
  } catch (const Error&) {
    if (batches.size() == 1) {
      throw;
    }
    // Batch by batch from here on, so that those before the damage are given.
    windows_grow_ = false;
    made = documents_.read({batches.front()});
    done = after(done, options_.world_size);
  }
  const std::int64_t most =
      std::min(documents_.compressed() ? kCompressedWindow : kPlainWindow,
               std::max(documents_.tokens() / options_.world_size, kFirstWindow));
  // The first batch comes soon. In few steps, for each small window may decode every chunk.
  window_tokens_ =
      windows_grow_ ? std::min(kWindowGrowth * std::max(window_tokens_, kFirstWindow), most) : 1;
  return made;
}

}  // namespace weft::data
