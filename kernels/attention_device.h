#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/arena.h"
#include "kernels/qk_norm_rope.h"

namespace weft::kernels {

/// How attention is computed on a GPU.
struct AttentionOptions {
  /// "auto" takes the first that the device and the rows allow: "cudnn", "flash"
  /// (FlashAttention-2, as LibTorch has it), "composed" of plain operators.
  std::string backend = "auto";
  /// Equal runs give equal bits. Costs cuDNN memory that grows with the square of a document.
  bool deterministic = true;
};

/// Columns behind the rows that attention writes, for what reads more than them
/// (kernels/padded_rows.h).
struct AttentionSpare {
  std::int64_t out = 0;
  std::int64_t dqkv = 0;
};

/// Fused attention for the documents of one micro-batch on a GPU: what its kernels read beside the
/// rows is made once and serves every layer. Layouts as in attention.h, but `lse` holds what the
/// backend wants, and the rows of out and dqkv have just the columns behind them that it was made
/// with.
class DeviceAttention {
 public:
  virtual ~DeviceAttention() = default;
  virtual void forward(const at::Tensor& qkv, const at::Tensor& out, const at::Tensor& lse,
                       Arena& scratch) = 0;
  /// Whether the backward pass reads rows of out that lie in wider ones as they are; else it copies
  /// them first.
  [[nodiscard]] virtual bool reads_padded_out() const { return false; }
  virtual void backward(const at::Tensor& dout, const at::Tensor& qkv, const at::Tensor& out,
                        const at::Tensor& lse, const at::Tensor& dqkv, Arena& scratch) = 0;

  /// Launches that one layer's forward or backward pass takes, but for copies: a plan of cuDNN is
  /// one.
  [[nodiscard]] virtual int launches(bool backward) const = 0;

  /// What its launches depend on beside the rows' number. Documents of equal shapes are told apart
  /// by what lies on the device alone, so that one recording of the launches serves them all.
  [[nodiscard]] virtual std::vector<std::int64_t> shape() const = 0;
  /// Becomes the attention of the other's documents, whose shape is equal, at its own addresses.
  virtual void assign(const DeviceAttention& other) = 0;
};

/// The backend that such heads get on a GPU, by name; on the meta device, on one that has cuDNN's.
/// A config Error where the one that was asked for can't be used, with the reason; a warning where
/// "auto" has to do with a slower one.
[[nodiscard]] std::string attention_backend(const HeadLayout& layout, at::ScalarType dtype,
                                            c10::Device device, const AttentionOptions& options);

/// Null where attention is composed of plain operators: on a CPU, for rows that are not bf16, or
/// where `options` say so. On the meta device, `planned` names the kind of device that memory is
/// planned for. Errors and warnings as above.
[[nodiscard]] std::shared_ptr<DeviceAttention> make_device_attention(
    std::span<const std::int32_t> cu_seqlens, const HeadLayout& layout, at::ScalarType dtype,
    c10::Device device, c10::DeviceType planned, const AttentionOptions& options,
    const AttentionSpare& spare = {});

namespace detail {

/// "" or which heads a kernel does not take: more elements than `largest`, or no multiple of 8.
std::string why_no_heads(const HeadLayout& layout, std::int64_t largest);
/// "" or why FlashAttention-2 can't be used for such heads on the device; on the meta device, on
/// any.
std::string why_no_flash(const HeadLayout& layout, c10::Device device);
std::shared_ptr<DeviceAttention> make_flash_attention(std::span<const std::int32_t> cu_seqlens,
                                                      const HeadLayout& layout, c10::Device device,
                                                      bool deterministic);
/// As prefix_attention.h says, of rows on the device; `lse` [heads_q, n]. Nothing on the meta
/// device.
void flash_prefix_forward(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                          double scale, const at::Tensor& out, const at::Tensor& lse);
void flash_prefix_backward(const at::Tensor& dout, const at::Tensor& q, const at::Tensor& keys,
                           const at::Tensor& values, double scale, const at::Tensor& out,
                           const at::Tensor& lse, const at::Tensor& dq, const at::Tensor& dkeys,
                           const at::Tensor& dvalues, bool deterministic);
/// "" or why cuDNN can't be used for such heads on the device; on the meta device, on any.
std::string why_no_cudnn(const HeadLayout& layout, c10::Device device);
std::shared_ptr<DeviceAttention> make_cudnn_attention(std::span<const std::int32_t> cu_seqlens,
                                                      const HeadLayout& layout,
                                                      const AttentionSpare& spare,
                                                      c10::Device device, bool deterministic);

}  // namespace detail

}  // namespace weft::kernels
