#include "data/loader.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "data/loader_prefetch.h"

namespace weft::data {

namespace {

constexpr std::size_t kPrefetch = 4;
/// The epoch being trained, the one being read ahead, and one that was asked about.
constexpr std::size_t kPlansKept = 3;

void check_options(const LoaderOptions& options) {
  if (options.max_length < 1 || options.batch_size < 1 ||
      options.max_length > std::numeric_limits<std::int32_t>::max() / options.batch_size) {
    fail_config(
        "max_length {} and batch size {}: each must be at least 1 and their product below 2^31",
        options.max_length, options.batch_size);
  }
}

}  // namespace

Loader::Loader(std::vector<std::shared_ptr<const ShardSet>> sets, const LoaderOptions& options,
               LoaderState start)
    : sets_(std::move(sets)), options_(options) {
  check_options(options_);
  read_lengths();
  state_ = normalised(start);
  prefetcher_ = std::make_unique<Prefetcher>(
      [this, ahead = state_]() mutable {
        MicroBatch batch = assemble(ahead);
        ahead = after(ahead);
        return batch;
      },
      kPrefetch);
}

Loader::~Loader() = default;

void Loader::read_lengths() {
  for (const auto& set : sets_) {
    first_.push_back(first_.back() + set->documents());
  }
  if (first_.back() == 0) {
    fail_data("the datasets hold no document");
  }
  lengths_.reserve(static_cast<std::size_t>(first_.back()));
  for (const auto& set : sets_) {
    for (std::int64_t i = 0; i < set->documents(); ++i) {
      const std::int64_t length = set->length(i);
      cut_ += length > options_.max_length ? 1 : 0;
      lengths_.push_back(static_cast<std::int32_t>(std::min(length, options_.max_length)));
    }
  }
  tokens_ = std::accumulate(lengths_.begin(), lengths_.end(), std::int64_t{0});
  if (cut_ > 0) {
    log_warning("{} of {} documents are longer than max_length {} and are cut to it", cut_,
                documents(), options_.max_length);
  }
}

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
  auto made = std::make_shared<const EpochPlan>(plan_epoch(lengths_, options_, epoch));
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

LoaderState Loader::after(LoaderState state) const {
  ++state.batch;
  return normalised(state);
}

MicroBatch Loader::next() {
  MicroBatch batch = prefetcher_->next();
  state_ = after(state_);
  return batch;
}

MicroBatch Loader::assemble(LoaderState state) const {
  const auto epoch = plan(state.epoch);
  MicroBatch batch;
  batch.cu_seqlens.push_back(0);
  for (const std::int64_t document : epoch->batch(state.batch)) {
    read_document(document, batch);
  }
  batch.trained_tokens = std::accumulate(batch.mask.begin(), batch.mask.end(), std::int64_t{0});
  return batch;
}

void Loader::read_document(std::int64_t document, MicroBatch& batch) const {
  const auto after = std::upper_bound(first_.begin(), first_.end(), document);
  const auto set = static_cast<std::size_t>(after - first_.begin() - 1);
  const std::int32_t length = lengths_[static_cast<std::size_t>(document)];
  sets_[set]->read(document - first_[set], length, batch.tokens, batch.mask);
  batch.cu_seqlens.push_back(static_cast<std::int32_t>(batch.tokens.size()));
  batch.max_seqlen = std::max(batch.max_seqlen, length);
}

}  // namespace weft::data
