// The training pass: layers forward, head and loss, layers backward.

#include <algorithm>

#include "base/error.h"
#include "base/trace.h"
#include "kernels/embedding.h"
#include "kernels/padded_rows.h"
#include "kernels/work_log.h"
#include "model/qwen3_model.h"

namespace weft::model {

using kernels::Arena;

namespace {

void add_to(const at::Tensor& x, const at::Tensor& delta) {
  kernels::log_traffic("residual", {x, delta}, {x});
  x.add_(delta);
}

}  // namespace

void Qwen3Model::set_recompute(bool recompute) {
  recompute_ = recompute;
  forget_recorded();
}

void Qwen3Model::set_attention(kernels::AttentionOptions options) {
  attention_ = std::move(options);
  forget_recorded();
}

void Qwen3Model::set_recorder(std::shared_ptr<kernels::WorkRecorder> recorder) {
  if (layers_ != nullptr && recorder != nullptr) {
    fail_internal("passes of a model whose layers come from a source can't be recorded");
  }
  recorded_.reset();
  if (recorder != nullptr) {
    recorded_.emplace(std::move(recorder));
  }
}

// Each micro-batch draws other masks, by numbers that a recording would keep.
bool Qwen3Model::has_dropout() const {
  return std::any_of(adapters_.begin(), adapters_.end(), [](const LayerAdapters& layer) {
    return layer.qkv.dropout + layer.o.dropout + layer.gate_up.dropout + layer.down.dropout > 0;
  });
}

void Qwen3Model::forget_recorded() {
  if (recorded_) {
    recorded_->clear();
  }
}

LayerPass Qwen3Model::begin_pass(const PackedBatch& batch, const StepKey& key) {
  if (!saved_.settled()) {
    forget_recorded();
  }
  saved_.reset();
  reset_scratch();
  LayerPass pass;
  pass.context = context_for(batch, batch.max_length);
  pass.context.training = true;
  pass.context.dropout_seed = key.dropout_seed;
  pass.context.micro_batch = key.micro_batch;
  pass.tapes.resize(weights_.layers.size());
  pass.inputs.resize(weights_.layers.size());
  for (at::Tensor* rows : {&pass.x, &pass.delta}) {
    *rows = scratch_.take({batch.size(), config_.hidden_size}, dtype());
  }
  pass.dx = kernels::take_padded_rows(scratch_, batch.size(), config_.hidden_size,
                                      gradient_spare(adapters_), dtype());
  return pass;
}

void Qwen3Model::run_layers_keeping(LayerPass& pass) {
  const at::Tensor& x = pass.x;
  kernels::embedding_forward(weights_.embed, pass.context.batch->tokens, x);
  for (std::int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (recompute_) {
      if (i > 0) {
        add_to(x, pass.delta);
      }
      pass.inputs[at] = saved_.take(x.sizes(), dtype());
      kernels::log_traffic("kept input", {x}, {pass.inputs[at]});
      pass.inputs[at].copy_(x);
      const Arena::Scope scope(scratch_);
      decoder_layer_forward(layer_parameters(i), pass.context, x, {}, pass.delta, pass.tapes[at],
                            scratch_, scratch_);
    } else {
      decoder_layer_forward(layer_parameters(i), pass.context, x,
                            i == 0 ? at::Tensor() : pass.delta, pass.delta, pass.tapes[at], saved_,
                            scratch_);
    }
  }
  add_to(x, pass.delta);
}

void Qwen3Model::run_layers_backward(LayerPass& pass) {
  for (std::int64_t i = config_.num_hidden_layers - 1; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    const Arena::Scope scope(scratch_);
    const LayerParameters layer = layer_parameters(i);
    if (recompute_) {
      const at::Tensor delta = scratch_.take(pass.dx.sizes(), dtype());
      decoder_layer_forward(layer, pass.context, pass.inputs[at], {}, delta, pass.tapes[at],
                            scratch_, scratch_);
    }
    const bool input_gradient = i > 0 || gradients_.has_value();
    decoder_layer_backward(layer, pass.context, pass.dx, pass.tapes[at], input_gradient, scratch_);
  }
}

at::Tensor Qwen3Model::forward_backward(const PackedBatch& batch, double scale,
                                        const StepKey& key) {
  if (batch.target_count() == 0 && !batch.split.any_targets) {
    return no_log_probs();
  }
  LayerPass pass = begin_pass(batch, key);
  RecordedPasses::Entry* const recorded =
      recorded_ && !has_dropout() && batch.split.rows == 0
          ? recorded_->find(
                pass, [this](LayerPass& own) { run_layers_keeping(own); },
                [this](LayerPass& own) { run_layers_backward(own); })
          : nullptr;
  if (recorded != nullptr) {
    const TracePhase phase("layers, recorded");
    recorded->forward->replay();
  } else {
    run_layers_keeping(pass);
  }
  at::Tensor log_probs = head_forward_backward(head(), pass.x, batch, scale, pass.dx, scratch_);
  if (recorded != nullptr) {
    const TracePhase phase("layers backward, recorded");
    recorded->backward->replay();
  } else {
    run_layers_backward(pass);
  }
  if (gradients_ && gradients_->embed.defined()) {
    kernels::embedding_backward(pass.dx, batch.tokens, gradients_->embed);
  }
  return log_probs;
}

}  // namespace weft::model
