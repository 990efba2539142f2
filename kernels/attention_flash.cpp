// FlashAttention-2 as LibTorch brings it (Dao, 2023): the fallback for GPUs that cuDNN's ragged
// attention does not know, and what it is checked against.

#include <ATen/Context.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention_device.h"
#include "kernels/heads.h"
#include "kernels/host_copies.h"
#include "kernels/work_log.h"

namespace weft::kernels::detail {
namespace {

// LibTorch's backward pass adds the queries' gradients in the order of the keys' blocks where its
// own switch says so, and by atomics elsewhere. The switch also fills new memory, which costs time.
class DeterministicScope {
 public:
  explicit DeterministicScope(bool wanted)
      : wanted_(wanted),
        before_(at::globalContext().deterministicAlgorithms()),
        warned_(at::globalContext().deterministicAlgorithmsWarnOnly()),
        filled_(at::globalContext().deterministicFillUninitializedMemory()) {
    if (wanted_) {
      at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
      at::globalContext().setDeterministicFillUninitializedMemory(false);
    }
  }
  DeterministicScope(const DeterministicScope&) = delete;
  DeterministicScope& operator=(const DeterministicScope&) = delete;
  ~DeterministicScope() {
    if (wanted_) {
      at::globalContext().setDeterministicAlgorithms(before_, warned_);
      at::globalContext().setDeterministicFillUninitializedMemory(filled_);
    }
  }

 private:
  bool wanted_;
  bool before_;
  bool warned_;
  bool filled_;
};

class FlashAttention final : public DeviceAttention {
 public:
  FlashAttention(std::span<const std::int32_t> cu_seqlens, const HeadLayout& layout,
                 c10::Device device, bool deterministic)
      : layout_(layout),
        scale_(1.0 / std::sqrt(static_cast<double>(layout.head_dim))),
        deterministic_(deterministic) {
    for (std::size_t i = 0; i + 1 < cu_seqlens.size(); ++i) {
      longest_ = std::max<std::int64_t>(longest_, cu_seqlens[i + 1] - cu_seqlens[i]);
    }
    bounds_ = to_device(cu_seqlens, at::kInt, device);
    no_random_state_ = at::empty({0}, at::TensorOptions(at::kLong).device(device));
  }

  // Backward: the rows' sums, the gradients, those of q added up in fp32 (from zeros where equal
  // runs are to give equal bits) and cast, those of k and v summed over the query heads.
  int launches(bool backward) const override {
    const bool grouped = layout_.heads_q != layout_.heads_k;
    return backward ? 3 + (deterministic_ ? 1 : 0) + (grouped ? 2 : 0) : 1;
  }

  void forward(const at::Tensor& qkv, const at::Tensor& out, const at::Tensor& lse,
               Arena&) override {
    log_traffic("output of attention", {out, lse}, {out, lse}, 2);
    if (qkv.is_meta()) {
      return;
    }
    const auto [result, sums, state, unused, debug] = at::_flash_attention_forward(
        q(qkv), k(qkv), v(qkv), bounds_, bounds_, longest_, longest_, /*dropout_p=*/0.0,
        /*is_causal=*/true, /*return_debug_mask=*/false, scale_);
    heads_of(out).copy_(result);
    lse.view({layout_.heads_q, qkv.size(0)}).copy_(sums);
  }

  void backward(const at::Tensor& dout, const at::Tensor& qkv, const at::Tensor& out,
                const at::Tensor& lse, const at::Tensor& dqkv, Arena&) override {
    log_traffic("gradients of q, k, v", {dqkv}, {dqkv}, 3);
    if (qkv.is_meta()) {
      return;
    }
    const DeterministicScope deterministic(deterministic_);
    const auto [dq, dk, dv] = at::_flash_attention_backward(
        heads_of(dout), q(qkv), k(qkv), v(qkv), heads_of(out),
        lse.view({layout_.heads_q, qkv.size(0)}), bounds_, bounds_, longest_, longest_,
        /*dropout_p=*/0.0, /*is_causal=*/true, no_random_state_, no_random_state_, scale_);
    q(dqkv).copy_(dq);
    k(dqkv).copy_(dk);
    v(dqkv).copy_(dv);
  }

  std::vector<std::int64_t> shape() const override { return {bounds_.size(0), longest_}; }
  void assign(const DeviceAttention& other) override {
    bounds_.copy_(dynamic_cast<const FlashAttention&>(other).bounds_);
  }

 private:
  [[nodiscard]] at::Tensor part(const at::Tensor& rows, std::int64_t first,
                                std::int64_t heads) const {
    return kernels::heads_of(rows, first, heads, layout_.head_dim);
  }
  [[nodiscard]] at::Tensor q(const at::Tensor& rows) const {
    return part(rows, 0, layout_.heads_q);
  }
  [[nodiscard]] at::Tensor k(const at::Tensor& rows) const {
    return part(rows, layout_.heads_q, layout_.heads_k);
  }
  [[nodiscard]] at::Tensor v(const at::Tensor& rows) const {
    return part(rows, layout_.rotated(), layout_.heads_k);
  }
  [[nodiscard]] at::Tensor heads_of(const at::Tensor& rows) const { return q(rows); }

  HeadLayout layout_;
  double scale_;
  bool deterministic_;
  std::int64_t longest_ = 0;
  at::Tensor bounds_;           // [B + 1] int32
  at::Tensor no_random_state_;  // there is no dropout
};

}  // namespace

std::shared_ptr<DeviceAttention> make_flash_attention(std::span<const std::int32_t> cu_seqlens,
                                                      const HeadLayout& layout, c10::Device device,
                                                      bool deterministic) {
  return std::make_shared<FlashAttention>(cu_seqlens, layout, device, deterministic);
}

// One sequence each, not ragged: FlashAttention-2 then lines up the last query with the last key,
// which is what makes a piece see its prefix.
void flash_prefix_forward(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                          double scale, const at::Tensor& out, const at::Tensor& lse) {
  if (q.is_meta()) {
    return;
  }
  const auto [result, sums, state, unused, debug] = at::_flash_attention_forward(
      q.unsqueeze(0), keys.unsqueeze(0), values.unsqueeze(0), /*cum_seq_q=*/{}, /*cum_seq_k=*/{},
      q.size(0), keys.size(0), /*dropout_p=*/0.0, /*is_causal=*/true, /*return_debug_mask=*/false,
      scale);
  out.copy_(result.squeeze(0));
  lse.copy_(sums.squeeze(0));
}

void flash_prefix_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& keys,
                           const at::Tensor& values, double scale, const at::Tensor& out,
                           const at::Tensor& lse, const at::Tensor& dq, const at::Tensor& dkeys,
                           const at::Tensor& dvalues, bool deterministic) {
  if (q.is_meta()) {
    return;
  }
  const DeterministicScope scope(deterministic);
  const at::Tensor no_random_state = at::empty({0}, q.options().dtype(at::kLong));
  const auto [gradient_q, gradient_k, gradient_v] = at::_flash_attention_backward(
      dout.unsqueeze(0), q.unsqueeze(0), keys.unsqueeze(0), values.unsqueeze(0), out.unsqueeze(0),
      lse.unsqueeze(0), /*cum_seq_q=*/{}, /*cum_seq_k=*/{}, q.size(0), keys.size(0),
      /*dropout_p=*/0.0, /*is_causal=*/true, no_random_state, no_random_state, scale);
  dq.copy_(gradient_q.squeeze(0));
  dkeys.add_(gradient_k.squeeze(0));
  dvalues.add_(gradient_v.squeeze(0));
}

}  // namespace weft::kernels::detail
