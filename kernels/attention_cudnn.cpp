// cuDNN's ragged attention: plans kept by bucketed shape, one call per group of documents.

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "kernels/attention_device.h"
#include "kernels/cuda/sdpa_shape.h"
#include "kernels/device_properties.h"
#include "kernels/work_log.h"

#if defined(WEFT_SDPA_CUDNN)
#include <c10/cuda/CUDAFunctions.h>

#include "kernels/cuda/sdpa_cudnn.h"
#include "kernels/device_dispatch.h"
#include "kernels/host_copies.h"
#endif

namespace weft::kernels::detail {
namespace {

// What both a real and a planned pass take from the arena.
struct Workspace {
  at::Tensor bytes;
  at::Tensor dk, dv;
};

class CudnnAttention : public DeviceAttention {
 public:
  CudnnAttention(std::span<const std::int32_t> cu_seqlens, const HeadLayout& layout,
                 const AttentionSpare& spare, bool deterministic)
      : layout_(layout) {
    cuda::SdpaShape heads;
    heads.heads_q = layout.heads_q;
    heads.heads_k = layout.heads_k;
    heads.head_dim = layout.head_dim;
    heads.out_spare = spare.out;
    heads.dqkv_spare = spare.dqkv;
    groups_ = cuda::group_documents(cu_seqlens, heads, {.deterministic = deterministic});
  }

  // On the meta device: takes what the calls would take, and no more.
  void forward(const at::Tensor&, const at::Tensor& out, const at::Tensor&,
               Arena& scratch) override {
    (void)take(out, {}, scratch);
  }
  void backward(const at::Tensor&, const at::Tensor&, const at::Tensor& out, const at::Tensor&,
                const at::Tensor& dqkv, Arena& scratch) override {
    place(take(out, dqkv, scratch), dqkv);
  }
  [[nodiscard]] bool reads_padded_out() const override { return true; }
  int launches(bool) const override { return static_cast<int>(groups_.size()); }

  std::vector<std::int64_t> shape() const override {
    std::vector<std::int64_t> shape;
    for (const cuda::SdpaGroup& group : groups_) {
      shape.insert(shape.end(), {group.shape.documents, group.shape.max_length, group.shape.rows,
                                 group.shape.deterministic ? 1 : 0});
    }
    return shape;
  }
  void assign(const DeviceAttention&) override {}

 protected:
  // Planned: documents of just over half a bucket pay for the gradient of their scores what those
  // of a whole one do, and there may be twice as many of them.
  [[nodiscard]] virtual std::int64_t workspace_bytes(const cuda::SdpaShape& shape) const {
    const std::int64_t scores =
        shape.backward && shape.deterministic ? cuda::score_gradient_bytes(shape) : 0;
    const std::int64_t left = std::max<std::int64_t>(cuda::SdpaLimits{}.score_bytes - scores, 0);
    return cuda::workspace_bound(shape) + std::min(scores, left);
  }

  [[nodiscard]] static cuda::SdpaShape directed(cuda::SdpaShape shape, bool backward) {
    shape.backward = backward;
    return shape;
  }

  // A backward pass's where there is a `dqkv`.
  Workspace take(const at::Tensor& out, const at::Tensor& dqkv, Arena& scratch) const {
    const bool backward = dqkv.defined();
    const cuda::SdpaShape& shape = groups_.front().shape;
    if (out.stride(0) != shape.out_row() || (backward && dqkv.stride(0) != shape.dqkv_row())) {
      fail_internal("cuDNN attention was made for rows {} and {} elements apart, got {} and {}",
                    shape.out_row(), shape.dqkv_row(), out.stride(0),
                    backward ? dqkv.stride(0) : shape.dqkv_row());
    }
    std::int64_t bytes = 1;
    for (const cuda::SdpaGroup& group : groups_) {
      bytes = std::max(bytes, workspace_bytes(directed(group.shape, backward)));
    }
    Workspace workspace;
    workspace.bytes = scratch.take({bytes}, at::kByte);
    if (backward) {
      const std::int64_t width = layout_.heads_k * layout_.head_dim;
      workspace.dk = scratch.take({dqkv.size(0), width}, dqkv.scalar_type());
      workspace.dv = scratch.take({dqkv.size(0), width}, dqkv.scalar_type());
    }
    return workspace;
  }

  // The gradients of k and v to where they belong; those of q are there.
  void place(const Workspace& workspace, const at::Tensor& dqkv) const {
    std::int64_t column = layout_.heads_q * layout_.head_dim;
    for (const at::Tensor& gradient : {workspace.dk, workspace.dv}) {
      log_traffic("gradients of k, v", {gradient}, {gradient});
      dqkv.narrow(1, column, gradient.size(1)).copy_(gradient);
      column += gradient.size(1);
    }
  }

  HeadLayout layout_;
  std::vector<cuda::SdpaGroup> groups_;
};

#if defined(WEFT_SDPA_CUDNN)

cuda::SdpaEngine& engine_of(c10::Device device) {
  // Never destroyed: at exit cuDNN may be gone before it.
  static auto* const engines = new std::map<int, std::unique_ptr<cuda::SdpaEngine>>;
  std::unique_ptr<cuda::SdpaEngine>& engine = (*engines)[device.index()];
  if (engine == nullptr) {
    c10::cuda::set_device(device.index());
    engine = cuda::SdpaEngine::for_current_device();
  }
  return *engine;
}

class CudnnAttentionOnDevice final : public CudnnAttention {
 public:
  CudnnAttentionOnDevice(std::span<const std::int32_t> cu_seqlens, const HeadLayout& layout,
                         const AttentionSpare& spare, bool deterministic, c10::Device device)
      : CudnnAttention(cu_seqlens, layout, spare, deterministic), engine_(engine_of(device)) {
    if (deterministic) {
      warn_of_long_documents();
    }
    std::vector<std::int32_t> lengths;
    std::vector<std::int64_t> offsets;
    for (const cuda::SdpaGroup& group : groups_) {
      const cuda::SdpaTable table = cuda::table_of(group, cu_seqlens);
      places_.push_back({lengths.size(), offsets.size(), table.packed.size()});
      lengths.insert(lengths.end(), table.lengths.begin(), table.lengths.end());
      for (const auto* part :
           {&table.packed, &table.dqkv, &table.out, &table.dout, &table.k, &table.statistics}) {
        offsets.insert(offsets.end(), part->begin(), part->end());
      }
    }
    lengths_ = to_device<std::int32_t>(lengths, at::kInt, device);
    offsets_ = to_device<std::int64_t>(offsets, at::kLong, device);
  }

  void forward(const at::Tensor& qkv, const at::Tensor& out, const at::Tensor& lse,
               Arena& scratch) override {
    const Workspace workspace = take(out, {}, scratch);
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      engine_.plan(directed(groups_[i].shape, false))
          .run(cuda::SdpaForward{qkv.const_data_ptr(), out.data_ptr(), lse.data_ptr<float>(),
                                 table(i)},
               workspace.bytes.data_ptr(), stream_of(qkv));
    }
  }

  void backward(const at::Tensor& dout, const at::Tensor& qkv, const at::Tensor& out,
                const at::Tensor& lse, const at::Tensor& dqkv, Arena& scratch) override {
    const Workspace workspace = take(out, dqkv, scratch);
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      engine_.plan(directed(groups_[i].shape, true))
          .run(cuda::SdpaBackward{qkv.const_data_ptr(), out.const_data_ptr(), dout.const_data_ptr(),
                                  lse.const_data_ptr<float>(), dqkv.data_ptr(),
                                  workspace.dk.data_ptr(), workspace.dv.data_ptr(), table(i)},
               workspace.bytes.data_ptr(), stream_of(qkv));
    }
    place(workspace, dqkv);
  }

  void assign(const DeviceAttention& other) override {
    const auto& same = dynamic_cast<const CudnnAttentionOnDevice&>(other);
    lengths_.copy_(same.lengths_);
    offsets_.copy_(same.offsets_);
  }

 private:
  struct Place {
    std::size_t lengths;  // of the group's first entry
    std::size_t offsets;
    std::size_t count;  // of offsets of one kind
  };

  // Once, because it is the same for every micro-batch.
  void warn_of_long_documents() const {
    static bool warned = false;
    for (const cuda::SdpaGroup& group : groups_) {
      if (!group.shape.deterministic && !warned) {
        warned = true;
        log_warning(
            "documents of {} tokens and more take too much memory for attention whose equal runs "
            "give equal bits; theirs does not (deterministic: false says so for all)",
            group.shape.max_length / 2 + 1);
      }
    }
  }

  [[nodiscard]] std::int64_t workspace_bytes(const cuda::SdpaShape& shape) const override {
    return engine_.plan(shape).workspace_bytes();
  }

  [[nodiscard]] cuda::SdpaTablePointers table(std::size_t group) const {
    const Place& place = places_[group];
    const auto* const offsets = offsets_.const_data_ptr<std::int64_t>() + place.offsets;
    const auto part = [&](std::size_t i) { return offsets + i * place.count; };
    return {lengths_.const_data_ptr<std::int32_t>() + place.lengths,
            part(0),
            part(1),
            part(2),
            part(3),
            part(4),
            part(5)};
  }

  cuda::SdpaEngine& engine_;
  std::vector<Place> places_;
  at::Tensor lengths_;
  at::Tensor offsets_;
};

#endif

}  // namespace

std::string why_no_cudnn(const HeadLayout& layout, c10::Device device) {
  const std::string heads = why_no_heads(layout, 128);
  if (!heads.empty()) {
    return "cuDNN's attention does not take " + heads;
  }
  if (device.is_meta()) {
    return "";
  }
#if defined(WEFT_SDPA_CUDNN)
  return cuda::SdpaEngine::why_not(compute_capability(device));
#else
  return "weft was built without the headers of cuDNN";
#endif
}

std::shared_ptr<DeviceAttention> make_cudnn_attention(std::span<const std::int32_t> cu_seqlens,
                                                      const HeadLayout& layout,
                                                      const AttentionSpare& spare,
                                                      c10::Device device, bool deterministic) {
#if defined(WEFT_SDPA_CUDNN)
  if (!device.is_meta()) {
    return std::make_shared<CudnnAttentionOnDevice>(cu_seqlens, layout, spare, deterministic,
                                                    device);
  }
#endif
  if (!device.is_meta()) {
    fail_internal("cuDNN attention was asked for in a build without it");
  }
  return std::make_shared<CudnnAttention>(cu_seqlens, layout, spare, deterministic);
}

}  // namespace weft::kernels::detail
