#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/arena.h"
#include "kernels/attention_device.h"
#include "kernels/lora_linear.h"
#include "kernels/qk_norm_rope.h"
#include "model/context_exchange.h"
#include "model/kv_cache.h"
#include "model/packed_batch.h"
#include "model/rope.h"
#include "model/weights.h"

namespace weft::model {

/// The adapters of one layer, by the packed matrix they sit on. An empty group is no adapter.
struct LayerAdapters {
  kernels::LoraGroup qkv;
  kernels::LoraGroup o;
  kernels::LoraGroup gate_up;
  kernels::LoraGroup down;
};

/// Columns that the rows of the residual stream's gradient need behind them for these adapters in
/// the extended form; else 0.
[[nodiscard]] std::int64_t gradient_spare(const std::vector<LayerAdapters>& layers);

/// The same for the rows that attention writes, equal in all layers.
[[nodiscard]] kernels::AttentionSpare attention_spare(const std::vector<LayerAdapters>& layers);

/// What one layer computes with. `gradients` is where full fine-tuning collects (fp32), null when
/// the base is frozen.
struct LayerParameters {
  std::int64_t index = 0;
  const LayerWeights* weights = nullptr;
  const LayerAdapters* adapters = nullptr;
  const LayerWeights* gradients = nullptr;
  /// Whether norm outputs can't be divided by their weight again, so that the bare norms are kept
  /// (see kernels/rms_norm.h).
  bool keep_input_norm = false;
  bool keep_post_norm = false;
  bool keep_qk_norm = false;
};

/// What all layers of one micro-batch share.
struct LayerContext {
  const PackedBatch* batch = nullptr;
  kernels::HeadLayout heads{};
  double eps = 0;
  RopeTable rope;
  std::shared_ptr<kernels::DeviceAttention> attention;  ///< null: composed, or a CPU's
  kernels::AttentionOptions attention_options;          ///< of split documents
  kernels::AttentionSpare attention_spare;  ///< behind the rows of its output and of d_qkv
  ContextExchange* exchange = nullptr;      ///< where the batch has split documents
  bool training = false;                    ///< dropout is on
  std::uint64_t dropout_seed = 0;
  std::uint64_t micro_batch =
      0;  ///< counted over the whole run: dropout masks differ from one to the next
  std::int64_t layers = 0;
  KvCache* cache =
      nullptr;  ///< generation: the batch is one sequence that continues what the cache holds
};

/// What a layer keeps from its forward pass for its backward pass; [T, ...] rows in the
/// activations' dtype, statistics fp32. Bytes per token in bf16: 2 (2 H + (2 Hq + 2 Hk) D + 2 F),
/// plus 4 (2 + Hq + Hk + Hq) for statistics and 2 R per adapter.
struct LayerTape {
  at::Tensor input_normed;  ///< [T, H] input of q/k/v
  at::Tensor input_rstd;    ///< [T]
  at::Tensor input_unit;    ///< [T, H] only with keep_input_norm
  at::Tensor qkv;           ///< [T, (Hq + 2 Hk) D] after norm and rotation
  at::Tensor qk_rstd;       ///< [T, Hq + Hk]
  at::Tensor qk_unit;       ///< [T, (Hq + Hk) D] only with keep_qk_norm
  at::Tensor attention;     ///< [T, Hq D]
  at::Tensor lse;           ///< [Hq T]
  at::Tensor post_normed;   ///< [T, H] input of gate/up
  at::Tensor post_rstd;     ///< [T]
  at::Tensor post_unit;     ///< [T, H] only with keep_post_norm
  at::Tensor gate_up;       ///< [T, 2 F]; the backward pass overwrites it
  /// [T, R] adapters' inner activations; in the extended form of kernels/lora_linear.h those of
  /// q/k/v, o and gate/up lie behind the rows of their input, and the rows of gate_up have room
  /// behind them as well.
  at::Tensor s_qkv, s_o, s_gate_up, s_down;
};

/// One decoder layer over packed rows. The residual stream arrives as x [T, H] and `delta` [T, H],
/// the last layer's output not yet added (undefined before the first layer); both are updated in
/// place, so that the result is x + delta again: the addition is fused into the next norm.
/// `delta_out` receives the new delta (may be the same tensor). The tape's tensors come from
/// `saved`, temporaries from `scratch`.
void decoder_layer_forward(const LayerParameters& layer, const LayerContext& context,
                           const at::Tensor& x, const at::Tensor& delta,
                           const at::Tensor& delta_out, LayerTape& tape, kernels::Arena& saved,
                           kernels::Arena& scratch);

/// Turns dx [T, H], the gradient of the layer's result, into the gradient of its input, in place,
/// and adds to the gradients of adapters and weights. In the extended form the rows of dx should
/// have room behind them for what the adapters of `o` and `down` need (gradient_spare). With
/// `input_gradient` false (first layer, frozen base) the last part is left out and dx is undefined
/// afterwards. The tape is used up.
void decoder_layer_backward(const LayerParameters& layer, const LayerContext& context,
                            const at::Tensor& dx, LayerTape& tape, bool input_gradient,
                            kernels::Arena& scratch);

}  // namespace weft::model
