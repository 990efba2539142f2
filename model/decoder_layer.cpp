#include "model/decoder_layer.h"

#include <algorithm>

#include "base/trace.h"
#include "kernels/attention.h"
#include "kernels/heads.h"
#include "kernels/padded_rows.h"
#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"
#include "model/context_attention.h"

namespace weft::model {
namespace {

using kernels::Arena;
using kernels::BaseWeight;
using kernels::DropoutKey;
using kernels::Fp8Rows;
using kernels::LoraGroup;

// The four matrices of a layer, as part of a dropout stream's number.
enum class Projection : std::uint64_t { kQkv, kO, kGateUp, kDown };

DropoutKey dropout_key(const LayerParameters& layer, const LayerContext& context,
                       Projection projection) {
  constexpr std::uint64_t kProjections = 4;
  constexpr std::uint64_t kSlices = 4;
  const auto layers = static_cast<std::uint64_t>(context.layers);
  const std::uint64_t place =
      context.micro_batch * layers + static_cast<std::uint64_t>(layer.index);
  return {context.dropout_seed,
          (place * kProjections + static_cast<std::uint64_t>(projection)) * kSlices};
}

const LayerAdapters& adapters_of(const LayerParameters& layer) {
  static const LayerAdapters kNone;
  return layer.adapters == nullptr ? kNone : *layer.adapters;
}

at::Tensor gradient_of(const LayerParameters& layer, at::Tensor LayerWeights::*member) {
  return layer.gradients == nullptr ? at::Tensor() : layer.gradients->*member;
}

// Rows of what a projection with these adapters reads.
at::Tensor take_rows(const LoraGroup& lora, std::int64_t tokens, std::int64_t width,
                     at::ScalarType dtype, Arena& arena) {
  return kernels::take_padded_rows(arena, tokens, width, lora.spare(), dtype);
}

// The adapters' inner activations of x, or inner gradients of dy: behind its rows where there is
// room for them.
at::Tensor take_s(const LoraGroup& lora, const at::Tensor& x, Arena& arena) {
  if (lora.empty()) {
    return {};
  }
  return lora.spare() > 0 && kernels::columns_behind(x) >= lora.spare()
             ? kernels::behind(x, lora.spare())
             : arena.take({x.size(0), lora.columns()}, x.scalar_type());
}

// Where the operator before a weight of 8-bit floats, forward or backward, leaves its rows as such;
// undefined before any other.
Fp8Rows take_rows_for(const BaseWeight& weight, const at::Tensor& x, Arena& scratch) {
  return weight.is_fp8() ? kernels::take_fp8_rows(x.size(0), x.size(1), scratch) : Fp8Rows();
}

// Split documents' rows come first; these are the rest, and what the statistics have for them.
at::Tensor whole_rows(const LayerContext& context, const at::Tensor& rows) {
  const std::int64_t first = context.batch->split.rows;
  return rows.narrow(0, first, rows.size(0) - first);
}

at::Tensor whole_lse(const LayerContext& context, const at::Tensor& lse) {
  const std::int64_t first = context.heads.heads_q * context.batch->split.rows;
  return lse.narrow(0, first, lse.size(0) - first);
}

ContextAttention context_attention(const LayerParameters& layer, const LayerContext& context) {
  return {context.batch->split, context.heads, context.attention_options, *context.exchange,
          layer.index};
}

void attend_packed(const LayerParameters& layer, const LayerContext& context, const at::Tensor& qkv,
                   LayerTape& tape, Arena& scratch) {
  if (context.batch->split.rows > 0) {
    context_attention_forward(context_attention(layer, context), qkv, tape.attention, tape.lse,
                              scratch);
  }
  if (qkv.size(0) > context.batch->split.rows) {
    kernels::attention_forward(
        whole_rows(context, qkv), context.heads, {context.batch->cu_seqlens, context.attention},
        whole_rows(context, tape.attention), whole_lse(context, tape.lse), scratch);
  }
}

void attend_packed_backward(const LayerParameters& layer, const LayerContext& context,
                            const at::Tensor& d_attention, const at::Tensor& d_qkv,
                            const LayerTape& tape, Arena& scratch) {
  if (context.batch->split.rows > 0) {
    context_attention_backward(context_attention(layer, context), d_attention, tape.qkv,
                               tape.attention, tape.lse, d_qkv, scratch);
  }
  if (d_qkv.size(0) > context.batch->split.rows) {
    kernels::attention_backward(whole_rows(context, d_attention), whole_rows(context, tape.qkv),
                                context.heads, {context.batch->cu_seqlens, context.attention},
                                whole_rows(context, tape.attention), whole_lse(context, tape.lse),
                                whole_rows(context, d_qkv), scratch);
  }
}

void attend(const LayerParameters& layer, const LayerContext& context, const at::Tensor& qkv,
            LayerTape& tape, Arena& scratch) {
  const kernels::HeadLayout& heads = context.heads;
  if (context.cache == nullptr) {
    attend_packed(layer, context, qkv, tape, scratch);
    return;
  }
  const auto part = [&](std::int64_t first, std::int64_t count) {
    return kernels::heads_of(qkv, first, count, heads.head_dim);
  };
  KvCache& cache = *context.cache;
  cache.append(layer.index, part(heads.heads_q, heads.heads_k),
               part(heads.rotated(), heads.heads_k));
  const std::int64_t length = cache.length() + qkv.size(0);
  kernels::attention_cached(part(0, heads.heads_q), cache.keys(layer.index, length),
                            cache.values(layer.index, length), tape.attention);
}

void attention_block_forward(const LayerParameters& layer, const LayerContext& context,
                             const at::Tensor& x, const at::Tensor& delta, const at::Tensor& out,
                             LayerTape& tape, Arena& saved, Arena& scratch) {
  const LayerWeights& weights = *layer.weights;
  const LayerAdapters& adapters = adapters_of(layer);
  const kernels::HeadLayout& heads = context.heads;
  const std::int64_t tokens = x.size(0);
  const at::ScalarType dtype = x.scalar_type();
  const at::ScalarType wide = kernels::statistics_dtype(dtype);
  tape.input_normed = take_rows(adapters.qkv, tokens, x.size(1), dtype, saved);
  tape.input_rstd = saved.take({tokens}, wide);
  tape.input_unit = layer.keep_input_norm ? saved.take(x.sizes(), dtype) : at::Tensor();
  tape.qkv = saved.take({tokens, heads.row()}, dtype);
  tape.s_qkv = take_s(adapters.qkv, tape.input_normed, saved);
  TracePhase phase("norm");
  {
    const Arena::Scope scope(scratch);
    const BaseWeight qkv{weights.qkv, weights.qkv_scales};
    const Fp8Rows rows = take_rows_for(qkv, x, scratch);
    kernels::add_rms_norm_forward(x, delta, weights.input_norm, context.eps, tape.input_normed,
                                  tape.input_rstd, tape.input_unit, rows);
    phase.next("qkv");
    kernels::lora_linear_forward(tape.input_normed, qkv, adapters.qkv, tape.qkv, tape.s_qkv,
                                 context.training, dropout_key(layer, context, Projection::kQkv),
                                 scratch, rows);
  }

  phase.next("qk norm, rope");
  tape.qk_rstd = saved.take({tokens, heads.rotated()}, wide);
  tape.qk_unit = layer.keep_qk_norm ? saved.take({tokens, heads.rotated() * heads.head_dim}, dtype)
                                    : at::Tensor();
  kernels::qk_norm_rope_forward(tape.qkv, heads, weights.q_norm, weights.k_norm, context.eps,
                                context.rope.cos, context.rope.sin, context.batch->positions,
                                tape.qk_rstd, tape.qk_unit);

  phase.next("attention");
  tape.attention = kernels::take_padded_rows(saved, tokens, heads.heads_q * heads.head_dim,
                                             context.attention_spare.out, dtype);
  tape.lse = saved.take({heads.heads_q * tokens}, wide);
  attend(layer, context, tape.qkv, tape, scratch);

  phase.next("o");
  tape.s_o = take_s(adapters.o, tape.attention, saved);
  kernels::lora_linear_forward(tape.attention, {weights.o, weights.o_scales}, adapters.o, out,
                               tape.s_o, context.training,
                               dropout_key(layer, context, Projection::kO), scratch);
}

void mlp_block_forward(const LayerParameters& layer, const LayerContext& context,
                       const at::Tensor& x, const at::Tensor& delta, LayerTape& tape, Arena& saved,
                       Arena& scratch) {
  const LayerWeights& weights = *layer.weights;
  const LayerAdapters& adapters = adapters_of(layer);
  const std::int64_t tokens = x.size(0);
  const at::ScalarType dtype = x.scalar_type();
  tape.post_normed = take_rows(adapters.gate_up, tokens, x.size(1), dtype, saved);
  tape.post_rstd = saved.take({tokens}, kernels::statistics_dtype(dtype));
  tape.post_unit = layer.keep_post_norm ? saved.take(x.sizes(), dtype) : at::Tensor();
  tape.gate_up = take_rows(adapters.gate_up, tokens, weights.gate_up.size(0), dtype, saved);
  tape.s_gate_up = take_s(adapters.gate_up, tape.post_normed, saved);
  if (!adapters.down.empty()) {
    tape.s_down = saved.take({tokens, adapters.down.columns()}, dtype);
  }
  TracePhase phase("norm");
  {
    const Arena::Scope scope(scratch);
    const BaseWeight gate_up{weights.gate_up, weights.gate_up_scales};
    const Fp8Rows rows = take_rows_for(gate_up, x, scratch);
    kernels::add_rms_norm_forward(x, delta, weights.post_norm, context.eps, tape.post_normed,
                                  tape.post_rstd, tape.post_unit, rows);
    phase.next("gate, up");
    kernels::lora_linear_forward(tape.post_normed, gate_up, adapters.gate_up, tape.gate_up,
                                 tape.s_gate_up, context.training,
                                 dropout_key(layer, context, Projection::kGateUp), scratch, rows);
  }
  const Arena::Scope scope(scratch);
  const BaseWeight down{weights.down, weights.down_scales};
  const at::Tensor hidden = take_rows(adapters.down, tokens, weights.down.size(1), dtype, scratch);
  const at::Tensor s_down =
      adapters.down.spare() > 0 ? take_s(adapters.down, hidden, scratch) : tape.s_down;
  const Fp8Rows rows = take_rows_for(down, hidden, scratch);
  phase.next("swiglu");
  kernels::swiglu_forward(tape.gate_up, hidden, rows);
  phase.next("down");
  kernels::lora_linear_forward(hidden, down, adapters.down, delta, s_down, context.training,
                               dropout_key(layer, context, Projection::kDown), scratch, rows);
  if (context.training && !s_down.is_same(tape.s_down)) {
    // The rows that it lies behind are not kept.
    kernels::log_traffic("s of down", {s_down}, {tape.s_down});
    tape.s_down.copy_(s_down);
  }
}

void mlp_block_backward(const LayerParameters& layer, const LayerContext& context,
                        const at::Tensor& dx, LayerTape& tape, Arena& scratch) {
  const LayerWeights& weights = *layer.weights;
  const LayerAdapters& adapters = adapters_of(layer);
  const at::ScalarType dtype = dx.scalar_type();
  const std::int64_t tokens = dx.size(0);
  const Arena::Scope scope(scratch);

  TracePhase phase("down backward");
  // `hidden` arrives at SwiGLU as a gradient and leaves as the forward's output, which the adapter
  // of `down` needs.
  const at::Tensor hidden = scratch.take({tokens, weights.down.size(1)}, dtype);
  const DropoutKey down_key = dropout_key(layer, context, Projection::kDown);
  const at::Tensor ds_down = take_s(adapters.down, dx, scratch);
  kernels::lora_linear_backward_input(dx, {weights.down, weights.down_scales}, adapters.down,
                                      tape.s_down, ds_down, hidden, down_key, scratch);
  phase.next("swiglu backward");
  const BaseWeight gate_up{weights.gate_up, weights.gate_up_scales};
  const Fp8Rows rows = take_rows_for(gate_up, tape.gate_up, scratch);
  kernels::swiglu_backward(tape.gate_up, hidden, gate_up.scales, rows);
  phase.next("down backward");
  kernels::lora_linear_backward_weights(dx, hidden, adapters.down, ds_down,
                                        gradient_of(layer, &LayerWeights::down), down_key, scratch);

  phase.next("gate, up backward");
  const at::Tensor& d_gate_up = tape.gate_up;
  const at::Tensor d_normed = scratch.take(dx.sizes(), dtype);
  const DropoutKey key = dropout_key(layer, context, Projection::kGateUp);
  const at::Tensor ds = take_s(adapters.gate_up, d_gate_up, scratch);
  kernels::lora_linear_backward_input(d_gate_up, gate_up, adapters.gate_up, tape.s_gate_up, ds,
                                      d_normed, key, scratch, rows);
  kernels::lora_linear_backward_weights(d_gate_up, tape.post_normed, adapters.gate_up, ds,
                                        gradient_of(layer, &LayerWeights::gate_up), key, scratch);
  phase.next("norm backward");
  kernels::rms_norm_backward(d_normed, tape.post_normed, tape.post_unit, weights.post_norm,
                             tape.post_rstd, dx, gradient_of(layer, &LayerWeights::post_norm));
}

void attention_block_backward(const LayerParameters& layer, const LayerContext& context,
                              const at::Tensor& dx, LayerTape& tape, bool input_gradient,
                              Arena& scratch) {
  const LayerWeights& weights = *layer.weights;
  const LayerAdapters& adapters = adapters_of(layer);
  const Arena::Scope scope(scratch);

  TracePhase phase("o backward");
  const at::Tensor d_attention = scratch.take(tape.attention.sizes(), dx.scalar_type());
  const DropoutKey o_key = dropout_key(layer, context, Projection::kO);
  const at::Tensor ds_o = take_s(adapters.o, dx, scratch);
  kernels::lora_linear_backward_input(dx, {weights.o, weights.o_scales}, adapters.o, tape.s_o, ds_o,
                                      d_attention, o_key, scratch);
  kernels::lora_linear_backward_weights(dx, tape.attention, adapters.o, ds_o,
                                        gradient_of(layer, &LayerWeights::o), o_key, scratch);

  phase.next("attention backward");
  const at::Tensor d_qkv = kernels::take_padded_rows(
      scratch, dx.size(0), context.heads.row(), context.attention_spare.dqkv, dx.scalar_type());
  attend_packed_backward(layer, context, d_attention, d_qkv, tape, scratch);
  phase.next("qk norm, rope backward");
  kernels::qk_norm_rope_backward(
      d_qkv, tape.qkv, tape.qk_unit, context.heads, weights.q_norm, weights.k_norm,
      context.rope.cos, context.rope.sin, context.batch->positions, tape.qk_rstd,
      gradient_of(layer, &LayerWeights::q_norm), gradient_of(layer, &LayerWeights::k_norm));

  phase.next("qkv backward");
  const DropoutKey key = dropout_key(layer, context, Projection::kQkv);
  const at::Tensor ds = take_s(adapters.qkv, d_qkv, scratch);
  const at::Tensor d_normed =
      input_gradient ? scratch.take(dx.sizes(), dx.scalar_type()) : at::Tensor();
  kernels::lora_linear_backward_input(d_qkv, {weights.qkv, weights.qkv_scales}, adapters.qkv,
                                      tape.s_qkv, ds, d_normed, key, scratch);
  kernels::lora_linear_backward_weights(d_qkv, tape.input_normed, adapters.qkv, ds,
                                        gradient_of(layer, &LayerWeights::qkv), key, scratch);
  if (input_gradient) {
    phase.next("norm backward");
    kernels::rms_norm_backward(d_normed, tape.input_normed, tape.input_unit, weights.input_norm,
                               tape.input_rstd, dx, gradient_of(layer, &LayerWeights::input_norm));
  }
}

}  // namespace

std::int64_t gradient_spare(const std::vector<LayerAdapters>& layers) {
  std::int64_t spare = 0;
  for (const LayerAdapters& layer : layers) {
    spare = std::max({spare, layer.o.spare(), layer.down.spare()});
  }
  return spare;
}

kernels::AttentionSpare attention_spare(const std::vector<LayerAdapters>& layers) {
  kernels::AttentionSpare spare;
  for (const LayerAdapters& layer : layers) {
    spare.out = std::max(spare.out, layer.o.spare());
    spare.dqkv = std::max(spare.dqkv, layer.qkv.spare());
  }
  return spare;
}

void decoder_layer_forward(const LayerParameters& layer, const LayerContext& context,
                           const at::Tensor& x, const at::Tensor& delta,
                           const at::Tensor& delta_out, LayerTape& tape, Arena& saved,
                           Arena& scratch) {
  attention_block_forward(layer, context, x, delta, delta_out, tape, saved, scratch);
  mlp_block_forward(layer, context, x, delta_out, tape, saved, scratch);
}

void decoder_layer_backward(const LayerParameters& layer, const LayerContext& context,
                            const at::Tensor& dx, LayerTape& tape, bool input_gradient,
                            Arena& scratch) {
  mlp_block_backward(layer, context, dx, tape, scratch);
  attention_block_backward(layer, context, dx, tape, input_gradient, scratch);
}

}  // namespace weft::model
