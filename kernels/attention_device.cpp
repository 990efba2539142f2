#include "kernels/attention_device.h"

#include "base/error.h"
#include "base/log.h"
#include "kernels/device_properties.h"

namespace weft::kernels {
namespace {

// Said once, because it is the same for every micro-batch.
void warn_once(const std::string& message) {
  static std::string said;
  if (said != message) {
    said = message;
    log_warning("{}", message);
  }
}

}  // namespace

std::string detail::why_no_heads(const HeadLayout& layout, std::int64_t largest) {
  return layout.head_dim > largest || layout.head_dim % 8 != 0
             ? fmt::format("heads of {} elements", layout.head_dim)
             : "";
}

std::string detail::why_no_flash(const HeadLayout& layout, c10::Device device) {
  const std::string heads = why_no_heads(layout, 256);
  if (!heads.empty() || device.is_meta()) {
    return heads;
  }
  const int capability = compute_capability(device);
  return capability < 80
             ? fmt::format("a GPU of compute capability {}.{}", capability / 10, capability % 10)
             : "";
}

std::string attention_backend(const HeadLayout& layout, at::ScalarType dtype, c10::Device device,
                              const AttentionOptions& options) {
  if (options.backend == "composed") {
    return "composed";
  }
  if (dtype != at::kBFloat16) {
    if (options.backend != "auto") {
      fail_config("attn_implementation: {} takes bf16 alone; set dtype: bf16, or leave it out",
                  options.backend);
    }
    return "composed";
  }
  const std::string no_cudnn = detail::why_no_cudnn(layout, device);
  if (options.backend != "flash" && no_cudnn.empty()) {
    return "cudnn";
  }
  if (options.backend == "cudnn") {
    fail_config("attn_implementation: cudnn can't be used: {}", no_cudnn);
  }
  const std::string no_flash = detail::why_no_flash(layout, device);
  if (no_flash.empty()) {
    if (options.backend == "auto") {
      warn_once(fmt::format("attention by FlashAttention-2, because {}", no_cudnn));
    }
    return "flash";
  }
  if (options.backend == "flash") {
    fail_config("attn_implementation: flash can't be used: it does not take {}", no_flash);
  }
  warn_once(
      fmt::format("attention is composed of plain operators, which is slow: {}; FlashAttention-2 "
                  "does not take {}",
                  no_cudnn, no_flash));
  return "composed";
}

std::shared_ptr<DeviceAttention> make_device_attention(std::span<const std::int32_t> cu_seqlens,
                                                       const HeadLayout& layout,
                                                       at::ScalarType dtype, c10::Device device,
                                                       c10::DeviceType planned,
                                                       const AttentionOptions& options,
                                                       const AttentionSpare& spare) {
  const bool is_gpu = device.is_cuda() || (device.is_meta() && planned == at::kCUDA);
  if (!is_gpu || cu_seqlens.back() == 0) {
    return nullptr;
  }
  const std::string backend = attention_backend(layout, dtype, device, options);
  if (backend == "composed") {
    return nullptr;
  }
  return backend == "cudnn"
             ? detail::make_cudnn_attention(cu_seqlens, layout, spare, device,
                                            options.deterministic)
             : detail::make_flash_attention(cu_seqlens, layout, device, options.deterministic);
}

}  // namespace weft::kernels
