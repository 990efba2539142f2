#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/cuda/launch_types.h"
#include "kernels/cuda/sdpa_shape.h"

namespace weft::kernels::cuda {

/// Device pointers of an SdpaTable.
struct SdpaTablePointers {
  const std::int32_t* lengths;
  const std::int64_t* packed;
  const std::int64_t* dqkv;
  const std::int64_t* out;
  const std::int64_t* dout;
  const std::int64_t* k;
  const std::int64_t* statistics;
};

/// Causal attention inside each document, bf16, softmax scaled by 1 / sqrt(head_dim). `qkv` are
/// packed rows; out has rows of heads_q heads and the shape's spare columns; statistics are fp32,
/// heads_q to a row.
struct SdpaForward {
  const void* qkv;
  void* out;
  float* statistics;
  SdpaTablePointers table;
};

/// dout has rows of heads_q heads. dq goes into packed rows with the shape's spare columns, where
/// k's and v's and the spare ones are left alone; dk and dv have rows of heads_k heads of their
/// own, because cuDNN's workspace grows with the width of their rows.
struct SdpaBackward {
  const void* qkv;
  const void* out;
  const void* dout;
  const float* statistics;
  void* dqkv;
  void* dk;
  void* dv;
  SdpaTablePointers table;
};

/// A cuDNN graph, compiled for one shape. Made by an SdpaEngine, which must outlive it.
class SdpaPlan {
 public:
  virtual ~SdpaPlan() = default;
  [[nodiscard]] virtual std::int64_t workspace_bytes() const = 0;
  /// Puts the work on `stream`; `workspace` is device memory, free again when the work is done.
  /// Each is for plans of its direction alone.
  virtual void run(const SdpaForward& pointers, void* workspace, Stream stream) = 0;
  virtual void run(const SdpaBackward& pointers, void* workspace, Stream stream) = 0;
};

/// Builds plans and keeps them: building one compiles a kernel, which takes up to a second. For one
/// device and one thread. cuDNN is loaded when the first engine is made.
class SdpaEngine {
 public:
  /// For the GPU that is current. An internal Error where cuDNN or the GPU can't be used.
  [[nodiscard]] static std::unique_ptr<SdpaEngine> for_current_device();
  /// For a GPU that is described (cuDNN's device properties as JSON) and not there: plans can be
  /// built and asked for their workspace. `capability` is 90 for sm_90.
  [[nodiscard]] static std::unique_ptr<SdpaEngine> for_description(const std::string& json,
                                                                   int capability);
  virtual ~SdpaEngine() = default;

  /// Whether cuDNN is there and is new enough for ragged grouped-query attention (9.6), and the
  /// device is one that has the kernels (compute capability 9.0 or 10.x). "" or the reason.
  [[nodiscard]] static std::string why_not(int capability);

  /// The plan of that shape; built when it is asked for the first time. An internal Error with
  /// cuDNN's reason where it has none.
  [[nodiscard]] virtual SdpaPlan& plan(const SdpaShape& shape) = 0;
  [[nodiscard]] virtual std::int64_t plans_built() const = 0;
};

}  // namespace weft::kernels::cuda
