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

constexpr std::size_t kPrefetch = 4;
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
  prefetcher_ = std::make_unique<Prefetcher>(
      [this, done = state_]() mutable {
        MicroBatch batch = assemble(after(done, options_.rank));
        done = after(done, options_.world_size);
        return batch;
      },
      kPrefetch);
}

void Loader::seek(LoaderState state) {
  const LoaderState next = normalised(state);  // refused, it leaves the loader as it was
  prefetcher_.reset();
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
  MicroBatch batch = prefetcher_->next();
  state_ = after(state_, options_.world_size);
  return batch;
}

MicroBatch Loader::assemble(LoaderState state) const {
  const auto epoch = plan(state.epoch);
  MicroBatch batch;
  batch.cu_seqlens.push_back(0);
  for (const std::int64_t document : epoch->batch(state.batch)) {
    documents_.append(document, batch);
  }
  batch.trained_tokens = std::accumulate(batch.mask.begin(), batch.mask.end(), std::int64_t{0});
  return batch;
}

}  // namespace weft::data
