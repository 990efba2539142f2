#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/checkpoint_reader.h"
#include "model/qwen3_config.h"
#include "model/weights.h"

namespace weft::model {

/// How the four matrices of a decoder layer lie in one flat buffer that is cut into equal shares:
/// each on a boundary of 64 bytes, as memory that is allocated for it alone would be, and the end
/// filled up so that the shares are equal.
struct LayerShares {
  std::int64_t count = 1;  ///< shares
  std::int64_t share = 0;  ///< elements of one
  std::int64_t qkv = 0;    ///< where each matrix begins, in elements
  std::int64_t o = 0;
  std::int64_t gate_up = 0;
  std::int64_t down = 0;
  std::int64_t matrices = 0;  ///< elements of the four matrices, without what fills up

  [[nodiscard]] std::int64_t elements() const { return share * count; }
};
[[nodiscard]] LayerShares cut_layer(const Qwen3Config& config, at::ScalarType dtype,
                                    std::int64_t count);

/// Bytes that each of `count` processes holds of a base cut in that way: everything but the layers'
/// matrices, its share of those, and two whole layers in turn.
[[nodiscard]] std::int64_t shared_base_bytes(const Qwen3Config& config, at::ScalarType dtype,
                                             std::int64_t count);

/// The matrices as views of `flat` [elements()]; the norms are taken from `norms`.
[[nodiscard]] LayerWeights view_layer(const Qwen3Config& config, const LayerShares& shares,
                                      const at::Tensor& flat, const LayerWeights& norms);

/// Weights as allocate_weights makes them, but for the layers' matrices, which stay undefined.
[[nodiscard]] Weights allocate_without_matrices(const Qwen3Config& config, at::ScalarType dtype,
                                                c10::Device device);

/// Reads share `number` of one layer's matrices into `out` [share], and no more of the files than
/// that; what fills up is zero. Data Errors as load_weights.
void load_layer_share(const CheckpointReader& reader, const Qwen3Config& config,
                      const LayerShares& shares, std::int64_t layer, std::int64_t number,
                      const at::Tensor& out);

}  // namespace weft::model
