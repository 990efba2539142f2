// Attention through cuDNN's graphs. The frontend is a header that is large to compile and whose
// symbols LibTorch also brings, of another version: it is included here alone, and hidden.

#include "kernels/cuda/sdpa_cudnn.h"

#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <cmath>
#include <map>

#include "base/error.h"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // the frontend looks cuDNN's functions up in it
}

namespace weft::kernels::cuda {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::Tensor_attributes;
using Tensor = std::shared_ptr<Tensor_attributes>;

constexpr std::int64_t kFirstVersion = 90600;  // grouped-query attention on ragged rows, backward

// Whether cuDNN is loaded; LibTorch has it in the process already.
bool load_cudnn() {
  if (fe::cudnn_dlhandle == nullptr) {
    fe::cudnn_dlhandle = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_GLOBAL);
  }
  return fe::cudnn_dlhandle != nullptr;
}

void check(fe::error_t error, const char* what) {
  if (error.is_bad()) {
    fail_internal("cuDNN attention: {}: {}", what, error.get_message());
  }
}

void check(cudnnStatus_t status, const char* what) {
  if (status != CUDNN_STATUS_SUCCESS) {
    fail_internal("cuDNN attention: {}: {}", what, fe::detail::get_error_string(status));
  }
}

// Numbers of the tensors in a plan.
enum Uid : std::int64_t {
  kQ = 1,
  kK,
  kV,
  kOut,
  kDout,
  kStatistics,
  kDq,
  kDk,
  kDv,
  kLengths,
  kLengthsK,
  kPackedOffsets,
  kDqkvOffsets,
  kOutOffsets,
  kDoutOffsets,
  kKOffsets,
  kStatisticsOffsets
};

// One graph under construction.
class Builder {
 public:
  /// `properties` are null where the device is there. A node takes them when it is added.
  Builder(const SdpaShape& shape, const std::shared_ptr<const fe::DeviceProperties>& properties,
          int capability)
      : shape_(shape), graph_(std::make_shared<fe::graph::Graph>()) {
    if (properties != nullptr) {
      graph_->set_device_properties(properties).set_sm_version(capability);
    }
    graph_->set_io_data_type(fe::DataType_t::BFLOAT16)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
    lengths_ = per_document(kLengths, shape.documents, fe::DataType_t::INT32);
    lengths_k_ = per_document(kLengthsK, shape.documents, fe::DataType_t::INT32);
    packed_ = offsets(kPackedOffsets);
    out_offsets_ = offsets(kOutOffsets);
    statistics_offsets_ = offsets(kStatisticsOffsets);
    q_ = rows(kQ, shape.heads_q, shape.packed_row(), packed_);
    k_ = rows(kK, shape.heads_k, shape.packed_row(), packed_);
    v_ = rows(kV, shape.heads_k, shape.packed_row(), packed_);
  }

  std::shared_ptr<fe::graph::Graph> forward() {
    const auto options =
        with_mask(fe::graph::SDPA_attributes().set_name("attention")).set_generate_stats(true);
    auto [out, statistics] = graph_->sdpa(q_, k_, v_, options);
    lay_out_rows(*out, kOut, shape_.heads_q, shape_.out_row(), out_offsets_).set_output(true);
    lay_out_statistics(*statistics).set_output(true);
    return graph_;
  }

  std::shared_ptr<fe::graph::Graph> backward() {
    const Tensor k_offsets = offsets(kKOffsets);
    const Tensor out = rows(kOut, shape_.heads_q, shape_.out_row(), out_offsets_);
    const Tensor dout = rows(kDout, shape_.heads_q, shape_.dout_row(), offsets(kDoutOffsets));
    Tensor_attributes statistics;
    lay_out_statistics(statistics);
    auto options = with_mask(fe::graph::SDPA_backward_attributes().set_name("attention backward"))
                       .set_deterministic_algorithm(shape_.deterministic)
                       .set_max_total_seq_len_q(shape_.rows)
                       .set_max_total_seq_len_kv(shape_.rows);
    auto [dq, dk, dv] =
        graph_->sdpa_backward(q_, k_, v_, out, dout, graph_->tensor(statistics), options);
    lay_out_rows(*dq, kDq, shape_.heads_q, shape_.dqkv_row(), offsets(kDqkvOffsets))
        .set_output(true);
    const std::int64_t k_row = shape_.heads_k * shape_.head_dim;
    lay_out_rows(*dk, kDk, shape_.heads_k, k_row, k_offsets).set_output(true);
    lay_out_rows(*dv, kDv, shape_.heads_k, k_row, k_offsets).set_output(true);
    return graph_;
  }

 private:
  Tensor per_document(Uid uid, std::int64_t count, fe::DataType_t type) {
    return graph_->tensor(Tensor_attributes()
                              .set_uid(uid)
                              .set_dim({count, 1, 1, 1})
                              .set_stride({1, 1, 1, 1})
                              .set_data_type(type));
  }

  Tensor offsets(Uid uid) { return per_document(uid, shape_.documents + 1, fe::DataType_t::INT64); }

  // [documents, heads, max_length, head_dim] over rows of `stride` elements.
  Tensor_attributes& lay_out_rows(Tensor_attributes& tensor, Uid uid, std::int64_t heads,
                                  std::int64_t stride, const Tensor& offsets) {
    return tensor.set_uid(uid)
        .set_dim({shape_.documents, heads, shape_.max_length, shape_.head_dim})
        .set_stride({shape_.max_length * stride, shape_.head_dim, stride, 1})
        .set_ragged_offset(offsets);
  }

  Tensor rows(Uid uid, std::int64_t heads, std::int64_t stride, const Tensor& offsets) {
    Tensor_attributes tensor;
    lay_out_rows(tensor, uid, heads, stride, offsets);
    return graph_->tensor(tensor);
  }

  Tensor_attributes& lay_out_statistics(Tensor_attributes& tensor) {
    return tensor.set_uid(kStatistics)
        .set_data_type(fe::DataType_t::FLOAT)
        .set_dim({shape_.documents, shape_.heads_q, shape_.max_length, 1})
        .set_stride({shape_.max_length * shape_.heads_q, 1, shape_.heads_q, 1})
        .set_ragged_offset(statistics_offsets_);
  }

  template <typename Attributes>
  Attributes with_mask(Attributes attributes) {
    attributes.set_attn_scale(1.0f / std::sqrt(static_cast<float>(shape_.head_dim)))
        .set_padding_mask(true)
        .set_seq_len_q(lengths_)
        .set_seq_len_kv(lengths_k_)
        .set_causal_mask(true);
    return attributes;
  }

  SdpaShape shape_;
  std::shared_ptr<fe::graph::Graph> graph_;
  Tensor lengths_, lengths_k_, packed_, out_offsets_, statistics_offsets_, q_, k_, v_;
};

class CudnnPlan final : public SdpaPlan {
 public:
  /// `handle` is null for a device that is described alone.
  CudnnPlan(const SdpaShape& shape, cudnnHandle_t handle,
            const std::shared_ptr<const fe::DeviceProperties>& properties, int capability)
      : shape_(shape), handle_(handle) {
    Builder builder(shape, properties, capability);
    graph_ = shape.backward ? builder.backward() : builder.forward();
    check(graph_->validate(), "the graph is not valid");
    check(graph_->build_operation_graph(handle), "the graph can't be built");
    check(graph_->create_execution_plans({fe::HeurMode_t::A}), "there is no plan");
    check(graph_->check_support(), "no plan is supported");
    check(graph_->build_plans(), "no plan can be built");
    check(graph_->get_workspace_size(workspace_), "its workspace is not known");
  }

  [[nodiscard]] std::int64_t workspace_bytes() const override { return workspace_; }

  void run(const SdpaForward& p, void* workspace, Stream stream) override {
    Pack pack = common(p.qkv, p.table);
    pack[kOut] = p.out;
    pack[kStatistics] = p.statistics;
    execute(pack, workspace, stream);
  }

  void run(const SdpaBackward& p, void* workspace, Stream stream) override {
    Pack pack = common(p.qkv, p.table);
    pack[kOut] = const_cast<void*>(p.out);
    pack[kDout] = const_cast<void*>(p.dout);
    pack[kStatistics] = const_cast<float*>(p.statistics);
    pack[kDq] = p.dqkv;
    pack[kDk] = p.dk;
    pack[kDv] = p.dv;
    pack[kDqkvOffsets] = const_cast<std::int64_t*>(p.table.dqkv);
    pack[kDoutOffsets] = const_cast<std::int64_t*>(p.table.dout);
    pack[kKOffsets] = const_cast<std::int64_t*>(p.table.k);
    execute(pack, workspace, stream);
  }

 private:
  using Pack = std::unordered_map<std::int64_t, void*>;

  // cuDNN takes every pointer as one that it may write to.
  [[nodiscard]] Pack common(const void* qkv, const SdpaTablePointers& table) const {
    constexpr std::int64_t kBytes = 2;  // bf16
    auto* const base = const_cast<char*>(static_cast<const char*>(qkv));
    const std::int64_t k = shape_.heads_q * shape_.head_dim * kBytes;
    const std::int64_t v = k + shape_.heads_k * shape_.head_dim * kBytes;
    auto* const lengths = const_cast<std::int32_t*>(table.lengths);
    return {{kQ, base},
            {kK, base + k},
            {kV, base + v},
            {kLengths, lengths},
            {kLengthsK, lengths},
            {kPackedOffsets, const_cast<std::int64_t*>(table.packed)},
            {kOutOffsets, const_cast<std::int64_t*>(table.out)},
            {kStatisticsOffsets, const_cast<std::int64_t*>(table.statistics)}};
  }

  void execute(Pack& pack, void* workspace, Stream stream) {
    if (handle_ == nullptr) {
      fail_internal("cuDNN attention: this plan was built for a device that is not there");
    }
    check(fe::detail::set_stream(handle_, stream), "the stream can't be set");
    check(graph_->execute(handle_, pack, workspace), "it failed");
  }

  SdpaShape shape_;
  cudnnHandle_t handle_;
  std::shared_ptr<fe::graph::Graph> graph_;
  std::int64_t workspace_ = 0;
};

class CudnnEngine final : public SdpaEngine {
 public:
  CudnnEngine() { check(fe::detail::create_handle(&handle_), "no handle"); }

  CudnnEngine(const std::string& json, int capability)
      : properties_(std::make_shared<fe::DeviceProperties>()), capability_(capability) {
    check(properties_->deserialize({json.begin(), json.end()}), "the device's description");
  }

  ~CudnnEngine() override {
    plans_.clear();
    if (handle_ != nullptr) {
      (void)fe::detail::destroy_handle(handle_);
    }
  }
  CudnnEngine(const CudnnEngine&) = delete;
  CudnnEngine& operator=(const CudnnEngine&) = delete;

  SdpaPlan& plan(const SdpaShape& shape) override {
    const auto found = plans_.find(shape);
    if (found != plans_.end()) {
      return *found->second;
    }
    auto built = std::make_unique<CudnnPlan>(shape, handle_, properties_, capability_);
    return *plans_.emplace(shape, std::move(built)).first->second;
  }
  [[nodiscard]] std::int64_t plans_built() const override {
    return static_cast<std::int64_t>(plans_.size());
  }

 private:
  cudnnHandle_t handle_ = nullptr;
  std::shared_ptr<fe::DeviceProperties> properties_;
  int capability_ = 0;
  std::map<SdpaShape, std::unique_ptr<CudnnPlan>> plans_;
};

}  // namespace

std::string SdpaEngine::why_not(int capability) {
  if (capability != 90 && capability / 10 != 10) {
    return fmt::format("a GPU of compute capability {}.{} has no ragged attention in cuDNN",
                       capability / 10, capability % 10);
  }
  if (!load_cudnn()) {
    return "libcudnn.so.9 was not found";
  }
  const auto version = static_cast<std::int64_t>(fe::detail::get_backend_version());
  return version < kFirstVersion ? fmt::format("cuDNN is {}, older than 9.6", version) : "";
}

std::unique_ptr<SdpaEngine> SdpaEngine::for_current_device() {
  if (!load_cudnn()) {
    fail_internal("cuDNN attention: libcudnn.so.9 was not found");
  }
  return std::make_unique<CudnnEngine>();
}

std::unique_ptr<SdpaEngine> SdpaEngine::for_description(const std::string& json, int capability) {
  if (!load_cudnn()) {
    fail_internal("cuDNN attention: libcudnn.so.9 was not found");
  }
  return std::make_unique<CudnnEngine>(json, capability);
}

}  // namespace weft::kernels::cuda
