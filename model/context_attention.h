#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/arena.h"
#include "kernels/attention_device.h"
#include "kernels/qk_norm_rope.h"
#include "model/context_exchange.h"
#include "model/packed_batch.h"

namespace weft::model {

/// Attention of a batch's split rows in one layer. The keys and values of all of the group's are
/// gathered, once forward and once backward, and not kept; each piece attends to the prefix of its
/// document.
struct ContextAttention {
  const SplitRows& split;
  kernels::HeadLayout heads;
  const kernels::AttentionOptions& options;
  ContextExchange& exchange;
  std::int64_t layer;
};

/// The first rows of out [T, Hq D] and the first elements of lse [Hq T] from the first rows of qkv
/// [T, (Hq + 2 Hk) D]: of each piece a block [Hq, rows].
void context_attention_forward(const ContextAttention& attention, const at::Tensor& qkv,
                               const at::Tensor& out, const at::Tensor& lse,
                               kernels::Arena& scratch);

/// The first rows of dqkv from those of dout. The gradients that other ranks have for this rank's
/// keys and values are added in the order of the ranks, in the type of the statistics.
void context_attention_backward(const ContextAttention& attention, const at::Tensor& dout,
                                const at::Tensor& qkv, const at::Tensor& out, const at::Tensor& lse,
                                const at::Tensor& dqkv, kernels::Arena& scratch);

}  // namespace weft::model
