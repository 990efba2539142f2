#include "model/recorded_passes.h"

#include <algorithm>

#include "base/error.h"
#include "base/log.h"

namespace weft::model {
namespace {

// Shapes that came once; data without any two alike must not fill the memory with them.
constexpr std::size_t kMostSeen = 4096;

bool same_place(const LayerPass& a, const LayerPass& b) {
  return a.x.const_data_ptr() == b.x.const_data_ptr() &&
         a.delta.const_data_ptr() == b.delta.const_data_ptr() &&
         a.dx.const_data_ptr() == b.dx.const_data_ptr();
}

}  // namespace

RecordedPasses::RecordedPasses(std::shared_ptr<kernels::WorkRecorder> recorder,
                               std::size_t capacity)
    : recorder_(std::move(recorder)), capacity_(capacity) {}

// Attention that is composed has the documents' bounds in its launches.
RecordedPasses::Shape RecordedPasses::shape_of(const LayerPass& pass) {
  const PackedBatch& batch = *pass.context.batch;
  Shape shape{batch.size()};
  if (pass.context.attention != nullptr) {
    const Shape attention = pass.context.attention->shape();
    shape.insert(shape.end(), attention.begin(), attention.end());
  } else {
    shape.insert(shape.end(), batch.cu_seqlens.begin(), batch.cu_seqlens.end());
  }
  return shape;
}

RecordedPasses::Entry* RecordedPasses::find(const LayerPass& pass, const Body& forward,
                                            const Body& backward) {
  const Shape shape = shape_of(pass);
  const auto found = entries_.find(shape);
  Entry* entry = found == entries_.end() ? nullptr : found->second.get();
  if (entry == nullptr) {
    if (seen_.size() > kMostSeen) {
      seen_.clear();
    }
    if (recorder_ == nullptr || seen_.insert(shape).second) {
      return nullptr;
    }
    entry = record(shape, pass, forward, backward);
    if (entry == nullptr) {
      return nullptr;
    }
  } else {
    if (!same_place(entry->pass, pass)) {
      fail_internal("a recorded pass of {} tokens has its buffers at other addresses", shape[0]);
    }
    entry->batch.tokens.copy_(pass.context.batch->tokens);
    entry->batch.positions.copy_(pass.context.batch->positions);
    if (pass.context.attention != nullptr) {
      entry->pass.context.attention->assign(*pass.context.attention);
    }
  }
  entry->used = ++time_;
  ++replays_;
  return entry;
}

RecordedPasses::Entry* RecordedPasses::record(const Shape& shape, const LayerPass& pass,
                                              const Body& forward, const Body& backward) {
  if (entries_.size() >= capacity_) {
    forget_oldest();
  }
  auto entry = std::make_unique<Entry>();
  entry->batch = *pass.context.batch;
  entry->batch.tokens = entry->batch.tokens.clone();  // the caller's stay the caller's
  entry->batch.positions = entry->batch.positions.clone();
  entry->pass = pass;
  entry->pass.context.batch = &entry->batch;
  LayerPass& own = entry->pass;
  entry->forward = recorder_->record([forward, &own] { forward(own); });
  entry->backward =
      entry->forward == nullptr ? nullptr : recorder_->record([backward, &own] { backward(own); });
  if (entry->backward == nullptr) {
    recorder_ = nullptr;  // it would be refused each time
    return nullptr;
  }
  log_debug("recorded the launches of micro-batches of {} tokens", shape[0]);
  return entries_.emplace(shape, std::move(entry)).first->second.get();
}

void RecordedPasses::forget_oldest() {
  const auto oldest = std::min_element(
      entries_.begin(), entries_.end(),
      [](const auto& a, const auto& b) { return a.second->used < b.second->used; });
  entries_.erase(oldest);
}

void RecordedPasses::clear() {
  entries_.clear();
  seen_.clear();
}

}  // namespace weft::model
