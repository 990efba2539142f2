#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/checkpoint_reader.h"
#include "model/qwen3_config.h"
#include "model/weights.h"

namespace weft::model {

/// A matrix of a layer in the flat buffer, in bytes.
struct MatrixPlace {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t begin = 0;
  std::int64_t scales = 0;  ///< where those of its rows begin, of 8-bit floats

  [[nodiscard]] std::int64_t elements() const { return rows * columns; }
};

/// How the four matrices of a decoder layer lie in one flat buffer of bytes that is cut into equal
/// shares: each on a boundary of 64, as memory that is allocated for it alone would be, the scales
/// of 8-bit floats after theirs, and the end filled up so that the shares are equal.
struct LayerShares {
  at::ScalarType dtype = at::kFloat;  ///< of the matrices
  std::int64_t count = 1;             ///< shares
  std::int64_t share = 0;             ///< bytes of one
  MatrixPlace qkv, o, gate_up, down;

  [[nodiscard]] std::int64_t bytes() const { return share * count; }
  [[nodiscard]] bool fp8() const { return dtype == at::kFloat8_e4m3fn; }
};
/// With `fp8` the matrices are 8-bit floats (kernels/fp8.h), else of `dtype`.
[[nodiscard]] LayerShares cut_layer(const Qwen3Config& config, at::ScalarType dtype,
                                    std::int64_t count, bool fp8 = false);

/// Bytes that each of `count` processes holds of a base cut in that way: everything but the layers'
/// matrices in `dtype`, its share of those, and two whole layers in turn.
[[nodiscard]] std::int64_t shared_base_bytes(const Qwen3Config& config, at::ScalarType dtype,
                                             std::int64_t count, bool fp8 = false);

/// The matrices as views of `flat`, bytes() of it; the norms are taken from `norms`.
[[nodiscard]] LayerWeights view_layer(const LayerShares& shares, const at::Tensor& flat,
                                      const LayerWeights& norms);

/// Weights as allocate_weights makes them, but for the layers' matrices, which stay undefined.
[[nodiscard]] Weights allocate_without_matrices(const Qwen3Config& config, at::ScalarType dtype,
                                                c10::Device device);

/// Reads share `number` of one layer's matrices into `out`, a share of bytes, and no more of the
/// files than that; of 8-bit floats every matrix that it has a part of, because their scales are
/// found row by row. What fills up is zero. Data Errors as load_weights.
void load_layer_share(const CheckpointReader& reader, const Qwen3Config& config,
                      const LayerShares& shares, std::int64_t layer, std::int64_t number,
                      const at::Tensor& out);

}  // namespace weft::model
