#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "kernels/recorded_work.h"
#include "model/layer_pass.h"
#include "model/packed_batch.h"

namespace weft::model {

/// The layers' launches, recorded for the micro-batches of one shape: as many tokens, attention by
/// the same plans. Small models and micro-batches are bound by the thousand and more launches of a
/// pass, which one launch replaces.
///
/// A shape is recorded when it comes the second time since clear(), so that its first pass loads
/// and allocates what it needs; the ones that were not used for longest are forgotten. Everything
/// else that a pass depends on (weights, adapters, buffers) must stay at its address, or clear()
/// must be called first.
class RecordedPasses {
 public:
  /// One shape's launches, bound to inputs of their own.
  struct Entry {
    PackedBatch batch;
    LayerPass pass;
    std::unique_ptr<kernels::RecordedWork> forward;
    std::unique_ptr<kernels::RecordedWork> backward;
    std::uint64_t used = 0;
  };
  using Body = std::function<void(LayerPass&)>;

  /// At most `capacity` shapes are kept.
  explicit RecordedPasses(std::shared_ptr<kernels::WorkRecorder> recorder,
                          std::size_t capacity = 16);

  /// The launches for a batch of `pass`'s shape, its inputs copied into theirs; recorded from
  /// `forward` and `backward` where they are not there yet. `pass` must have its buffers (x, delta,
  /// dx) where the recorded one had them. Null where the pass is to be made without: a new shape,
  /// or one that can't be recorded.
  [[nodiscard]] Entry* find(const LayerPass& pass, const Body& forward, const Body& backward);

  /// Forgets all of it, and the memory that it holds on to.
  void clear();

  /// Whether shapes are recorded; not any more when the recorder has refused one.
  [[nodiscard]] bool records() const { return recorder_ != nullptr; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  /// Passes that find() has given launches for.
  [[nodiscard]] std::int64_t replays() const { return replays_; }

 private:
  using Shape = std::vector<std::int64_t>;

  [[nodiscard]] static Shape shape_of(const LayerPass& pass);
  [[nodiscard]] Entry* record(const Shape& shape, const LayerPass& pass, const Body& forward,
                              const Body& backward);
  void forget_oldest();

  std::shared_ptr<kernels::WorkRecorder> recorder_;
  std::size_t capacity_;
  std::map<Shape, std::unique_ptr<Entry>> entries_;
  std::set<Shape> seen_;
  std::uint64_t time_ = 0;
  std::int64_t replays_ = 0;
};

}  // namespace weft::model
