#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/arena.h"
#include "model/context_exchange.h"
#include "model/decoder_layer.h"
#include "model/layer_pass.h"
#include "model/layer_source.h"
#include "model/lm_head.h"
#include "model/packed_batch.h"
#include "model/qwen3_config.h"
#include "model/recorded_passes.h"
#include "model/weights.h"

namespace weft::model {

/// A dense Qwen3 transformer: forward and hand-written backward over packed micro-batches. Not
/// thread-safe: it owns the buffers that its passes work in.
class Qwen3Model {
 public:
  /// Takes filled weights; they may change afterwards only where `gradients` are set (full
  /// fine-tuning). With `layers` the matrices of the layers are undefined in `weights` and asked
  /// for one layer at a time; who calls the passes below then announces them there.
  Qwen3Model(Qwen3Config config, Weights weights, std::shared_ptr<LayerSource> layers = nullptr);

  [[nodiscard]] const Qwen3Config& config() const { return config_; }
  [[nodiscard]] const Weights& weights() const { return weights_; }
  /// Null where all weights are here.
  [[nodiscard]] LayerSource* layers() const { return layers_.get(); }
  [[nodiscard]] at::ScalarType dtype() const { return weights_.embed.scalar_type(); }
  [[nodiscard]] c10::Device device() const { return weights_.embed.device(); }

  /// One LayerAdapters per layer, or empty for none. Views: the tensors in it stay the owner's.
  void set_adapters(std::vector<LayerAdapters> adapters);
  /// Where gradients of weights are collected, for full fine-tuning (fp32 tensors, undefined =
  /// frozen).
  void set_weight_gradients(Weights gradients);
  /// Recompute each layer in the backward pass instead of keeping its tape: one more forward pass,
  /// a fraction of the memory, the same numbers.
  void set_recompute(bool recompute);
  /// How attention is computed on a GPU.
  void set_attention(kernels::AttentionOptions options);
  /// Records the layers' launches of training passes and launches them as one (recorded_passes.h);
  /// null: not. An internal Error for a model whose layers come from a source. Passes with dropout
  /// or split documents are made without.
  void set_recorder(std::shared_ptr<kernels::WorkRecorder> recorder);
  [[nodiscard]] bool records_passes() const { return recorded_ && recorded_->records(); }
  /// Training passes that were launched as one.
  [[nodiscard]] std::int64_t replayed_passes() const {
    return recorded_ ? recorded_->replays() : 0;
  }

  /// What batches with split documents (make_context_batch) are trained with.
  void set_context(std::shared_ptr<ContextExchange> exchange) { exchange_ = std::move(exchange); }

  struct StepKey {
    std::uint64_t dropout_seed = 0;
    std::uint64_t micro_batch = 0;  ///< counted over the whole run
  };

  /// Adds the gradient of scale * sum(-log p(target)) to the gradients of adapters and weights;
  /// returns the log-probabilities of the batch's targets, [N] fp32 (fp64). A batch without
  /// targets changes nothing, but where it is a part of one that has some: other ranks' rows then
  /// see its keys.
  at::Tensor forward_backward(const PackedBatch& batch, double scale, const StepKey& key);

  /// Log-probabilities of the batch's targets, [N], without dropout.
  [[nodiscard]] at::Tensor target_log_probs(const PackedBatch& batch);

  /// As target_log_probs, and whether each target is the most probable token.
  [[nodiscard]] TargetScores target_scores(const PackedBatch& batch);

  /// Logits of the given rows of the batch, chunk by chunk: body(first index into rows, logits [m,
  /// V] fp32).
  void logits(const PackedBatch& batch, const at::Tensor& rows,
              const std::function<void(std::int64_t, const at::Tensor&)>& body);

  /// Continues the sequence in `cache` by `tokens` [n] int64 and returns the logits after the last
  /// one, [V] fp32.
  [[nodiscard]] at::Tensor decode(KvCache& cache, const at::Tensor& tokens);

  /// For a model on the meta device: its buffers count what passes on this kind of device take.
  void plan_for(c10::DeviceType device);

  /// Room for passes whose buffers' sizes are known beforehand, as saved_bytes() and
  /// scratch_bytes() of a planned model say; without it they grow in the first passes.
  void reserve(std::int64_t saved_bytes, std::int64_t scratch_bytes);

  /// Bytes that the passes' buffers hold now: kept activations, temporaries, tables of RoPE.
  [[nodiscard]] std::int64_t saved_bytes() const { return saved_.reserved_bytes(); }
  [[nodiscard]] std::int64_t scratch_bytes() const { return scratch_.reserved_bytes(); }
  [[nodiscard]] std::int64_t table_bytes() const;

 private:
  [[nodiscard]] LayerContext context_for(const PackedBatch& batch, std::int64_t positions,
                                         KvCache* cache = nullptr);
  [[nodiscard]] LayerParameters layer_parameters(std::int64_t index);
  [[nodiscard]] at::Tensor no_log_probs();
  [[nodiscard]] LmHead head() const;
  void find_norms_to_keep();
  /// Runs all layers without keeping anything; returns the residual stream [T, H], valid while the
  /// caller's scope on scratch_ lasts.
  at::Tensor run_layers(const LayerContext& context);
  [[nodiscard]] LayerPass begin_pass(const PackedBatch& batch, const StepKey& key);
  void run_layers_keeping(LayerPass& pass);
  void run_layers_backward(LayerPass& pass);
  [[nodiscard]] bool has_dropout() const;
  void reset_scratch();
  void forget_recorded();

  struct KeepNorms {
    bool input = false;
    bool post = false;
    bool qk = false;
  };

  Qwen3Config config_;
  Weights weights_;
  std::shared_ptr<LayerSource> layers_;
  std::shared_ptr<ContextExchange> exchange_;
  std::vector<LayerAdapters> adapters_;
  std::optional<Weights> gradients_;
  std::vector<KeepNorms> keep_;
  bool keep_final_norm_ = false;
  bool recompute_ = false;
  kernels::AttentionOptions attention_;
  RopeTable rope_;
  kernels::Arena saved_;
  kernels::Arena scratch_;
  std::optional<RecordedPasses> recorded_;
};

}  // namespace weft::model
