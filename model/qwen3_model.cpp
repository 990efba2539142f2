#include "model/qwen3_model.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/embedding.h"
#include "kernels/rms_norm.h"
#include "kernels/tensor_checks.h"

namespace weft::model {

using kernels::Arena;

Qwen3Model::Qwen3Model(Qwen3Config config, Weights weights, std::shared_ptr<LayerSource> layers)
    : config_(std::move(config)),
      weights_(std::move(weights)),
      layers_(std::move(layers)),
      saved_(weights_.embed.device()),
      scratch_(weights_.embed.device()) {
  find_norms_to_keep();
}

void Qwen3Model::find_norms_to_keep() {
  // A trained norm weight may pass through zero, so full fine-tuning keeps all bare norms.
  const bool all = gradients_.has_value();
  keep_.clear();
  for (const LayerWeights& layer : weights_.layers) {
    keep_.push_back(
        {all || !kernels::is_invertible(layer.input_norm),
         all || !kernels::is_invertible(layer.post_norm),
         all || !kernels::is_invertible(layer.q_norm) || !kernels::is_invertible(layer.k_norm)});
  }
  keep_final_norm_ = all || !kernels::is_invertible(weights_.final_norm);
}

void Qwen3Model::set_adapters(std::vector<LayerAdapters> adapters) {
  if (!adapters.empty() && adapters.size() != weights_.layers.size()) {
    fail_internal("{} layers of adapters for a model of {} layers", adapters.size(),
                  weights_.layers.size());
  }
  adapters_ = std::move(adapters);
  forget_recorded();
}

void Qwen3Model::set_weight_gradients(Weights gradients) {
  gradients_ = std::move(gradients);
  find_norms_to_keep();
  forget_recorded();
}

void Qwen3Model::plan_for(c10::DeviceType device) {
  saved_.plan_for(device);
  scratch_.plan_for(device);
}

std::int64_t Qwen3Model::table_bytes() const {
  return rope_.cos.defined() ? static_cast<std::int64_t>(rope_.cos.nbytes() + rope_.sin.nbytes())
                             : 0;
}

LayerParameters Qwen3Model::layer_parameters(std::int64_t index) {
  const auto at = static_cast<std::size_t>(index);
  LayerParameters layer;
  layer.index = index;
  layer.weights = layers_ ? &layers_->layer(index) : &weights_.layers[at];
  layer.adapters = adapters_.empty() ? nullptr : &adapters_[at];
  layer.gradients = gradients_ ? &gradients_->layers[at] : nullptr;
  layer.keep_input_norm = keep_[at].input;
  layer.keep_post_norm = keep_[at].post;
  layer.keep_qk_norm = keep_[at].qk;
  return layer;
}

LmHead Qwen3Model::head() const {
  LmHead head{weights_.final_norm, weights_.head, config_.rms_norm_eps, keep_final_norm_, {}, {}};
  if (gradients_) {
    head.norm_gradient = gradients_->final_norm;
    head.weight_gradient = gradients_->head;
  }
  return head;
}

LayerContext Qwen3Model::context_for(const PackedBatch& batch, std::int64_t positions,
                                     KvCache* cache) {
  if (!rope_.cos.defined() || rope_.cos.size(0) < positions) {
    constexpr std::int64_t kStep = 1024;
    const std::int64_t rows = (positions + kStep - 1) / kStep * kStep;
    forget_recorded();  // it has the address of the old table, which is too short for this batch
    rope_ = make_rope_table(config_, rows, kernels::statistics_dtype(dtype()), device());
  }
  if (batch.split.rows > 0 && exchange_ == nullptr) {
    fail_internal("a batch with split documents, and no ranks to exchange keys with");
  }
  LayerContext context;
  context.batch = &batch;
  context.heads = {config_.num_attention_heads, config_.num_key_value_heads, config_.head_dim};
  context.eps = config_.rms_norm_eps;
  context.rope = rope_;
  context.layers = config_.num_hidden_layers;
  context.attention_options = attention_;
  context.attention_spare = attention_spare(adapters_);
  if (batch.split.rows > 0) {
    context.attention_spare.out = 0;  // pieces go to FlashAttention-2, as below
  }
  context.exchange = exchange_.get();
  if (cache == nullptr) {
    context.attention =
        kernels::make_device_attention(batch.cu_seqlens, context.heads, dtype(), device(),
                                       scratch_.planned_for(), attention_, context.attention_spare);
    if (context.attention != nullptr && !context.attention->reads_padded_out()) {
      context.attention_spare.out = 0;  // a second product of o's is less than a copy of its input
    }
  }
  context.cache = cache;
  return context;
}

void Qwen3Model::reserve(std::int64_t saved_bytes, std::int64_t scratch_bytes) {
  forget_recorded();
  saved_.reserve(saved_bytes);
  scratch_.reserve(scratch_bytes);
}

// What was recorded has addresses in these blocks.
void Qwen3Model::reset_scratch() {
  if (!scratch_.settled()) {
    forget_recorded();
  }
  scratch_.reset();
}

at::Tensor Qwen3Model::run_layers(const LayerContext& context) {
  const std::int64_t tokens = context.batch->size();
  const at::Tensor x = scratch_.take({tokens, config_.hidden_size}, dtype());
  const at::Tensor delta = scratch_.take(x.sizes(), dtype());
  kernels::embedding_forward(weights_.embed, context.batch->tokens, x);
  for (std::int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    const Arena::Scope scope(scratch_);
    LayerTape tape;
    decoder_layer_forward(layer_parameters(i), context, x, i == 0 ? at::Tensor() : delta, delta,
                          tape, scratch_, scratch_);
  }
  x.add_(delta);
  return x;
}

// Of a batch without targets, which has nothing to compute.
at::Tensor Qwen3Model::no_log_probs() {
  if (layers_) {
    layers_->skip_pass();
  }
  return at::empty({0}, at::TensorOptions(kernels::statistics_dtype(dtype())).device(device()));
}

at::Tensor Qwen3Model::target_log_probs(const PackedBatch& batch) {
  if (batch.target_count() == 0) {
    return no_log_probs();
  }
  reset_scratch();
  return head_log_probs(head(), run_layers(context_for(batch, batch.max_length)), batch, scratch_);
}

TargetScores Qwen3Model::target_scores(const PackedBatch& batch) {
  if (batch.target_count() == 0) {
    const at::Tensor none = no_log_probs();
    return {none, at::empty({0}, none.options().dtype(at::kBool))};
  }
  reset_scratch();
  return head_target_scores(head(), run_layers(context_for(batch, batch.max_length)), batch,
                            scratch_);
}

void Qwen3Model::logits(const PackedBatch& batch, const at::Tensor& rows,
                        const std::function<void(std::int64_t, const at::Tensor&)>& body) {
  reset_scratch();
  head_logits(head(), run_layers(context_for(batch, batch.max_length)), rows, scratch_, body);
}

at::Tensor Qwen3Model::decode(KvCache& cache, const at::Tensor& tokens) {
  reset_scratch();
  const std::int64_t count = tokens.size(0);
  const std::int64_t length = cache.length() + count;
  PackedBatch batch;
  batch.tokens = tokens.to(device());
  batch.positions =
      at::arange(cache.length(), length, at::TensorOptions(at::kInt).device(device()));
  batch.cu_seqlens = {0, static_cast<std::int32_t>(count)};
  batch.max_length = count;
  const LayerContext context = context_for(batch, length, &cache);
  const at::Tensor x = run_layers(context);
  cache.advance(count);
  at::Tensor result;
  head_logits(head(), x,
              at::arange(count - 1, count, at::TensorOptions(at::kLong).device(device())), scratch_,
              [&](std::int64_t, const at::Tensor& logits) { result = logits[0].clone(); });
  return result;
}

}  // namespace weft::model
