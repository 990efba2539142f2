#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "distributed/background_gather.h"
#include "distributed/session.h"
#include "model/checkpoint_reader.h"
#include "model/context_exchange.h"
#include "model/layer_shares.h"
#include "model/layer_source.h"
#include "trainer/run_config.h"

namespace weft::trainer {

/// The ranks among which the layers of a frozen base are spread; without a gather the base is
/// whole.
struct BaseSharing {
  std::shared_ptr<distributed::BackgroundGather> gather;
  std::function<std::string()> where;  ///< "step 12, phase step", for errors
  [[nodiscard]] std::int64_t count() const { return gather == nullptr ? 1 : gather->size(); }
};

/// Opens the gathers that the config's shard_base asks for; all ranks call it. Nothing where a rank
/// would share with itself alone.
[[nodiscard]] BaseSharing open_base_sharing(const RunConfig& config, distributed::Session& session);

/// Runs `body`, which makes passes of that kind, `passes` of them at most. Ranks that share a base
/// all make that many: one that has less work, or fails, goes along for the rest before it returns,
/// or throws what `body` threw. `layers` null: just the body. Passes over a part of a micro-batch
/// need the ranks that have the rest: where they exchange rows by `context`, a rank that fails
/// breaks that off and goes along with nobody.
void make_passes(model::LayerSource* layers, model::PassKind kind, std::int64_t passes,
                 const std::function<void()>& body, model::ContextExchange* context = nullptr);

/// A frozen base of which each rank keeps a share of every layer's matrices. Two whole layers are
/// held at a time: while the model computes with one, the next is gathered into the other.
///
/// A training pass gathers every layer twice but for the two that are still held where it turns,
/// and where the next one begins: 2 L - 4 in all, from the second pass on.
class SharedBase final : public model::LayerSource {
 public:
  /// Allocates and reads this rank's shares, with `fp8` of 8-bit floats. `whole` holds what every
  /// rank has: the norms are taken from there. Data Errors as model::load_weights, of this rank's
  /// part alone.
  SharedBase(const model::CheckpointReader& reader, const model::Qwen3Config& config,
             const model::Weights& whole, BaseSharing sharing, bool fp8 = false);

  void begin(model::PassKind kind, std::int64_t passes) override;
  const model::LayerWeights& layer(std::int64_t index) override;
  void skip_pass() override;
  void finish() override;
  double waited_seconds() const override { return waited_; }

 private:
  struct Slot {
    at::Tensor flat;
    std::int64_t layer = -1;  ///< that it holds
    model::LayerWeights weights;
  };

  [[nodiscard]] std::int64_t pass_length() const;
  [[nodiscard]] std::int64_t layer_at(std::int64_t position) const;
  void start(std::int64_t layer);
  void wait_for(std::int64_t layer);
  void fetch_ahead();

  model::Qwen3Config config_;
  std::vector<model::LayerWeights> norms_;
  BaseSharing sharing_;
  model::LayerShares cut_;
  at::Tensor shares_;  ///< [L, share] bytes
  std::array<Slot, 2> slots_;
  std::size_t current_ = 0;     ///< the slot in use; the other is filled
  std::int64_t fetching_ = -1;  ///< the layer on its way into the other slot
  model::PassKind kind_ = model::PassKind::kForward;
  std::int64_t position_ = 0;  ///< layers asked for since begin()
  std::int64_t end_ = 0;
  double waited_ = 0;
};

}  // namespace weft::trainer
