#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "model/checkpoint_reader.h"
#include "model/qwen3_config.h"

namespace weft::model {

/// One decoder layer's weights, packed as the forward pass uses them: q, k and v share one matrix,
/// and so do gate and up. H hidden, D head size, F ffn.
struct LayerWeights {
  at::Tensor input_norm;  ///< [H]
  at::Tensor qkv;         ///< [(Hq + 2 Hk) D, H]
  at::Tensor q_norm;      ///< [D]
  at::Tensor k_norm;      ///< [D]
  at::Tensor o;           ///< [H, Hq D]
  at::Tensor post_norm;   ///< [H]
  at::Tensor gate_up;     ///< [2 F, H], gate rows first
  at::Tensor down;        ///< [H, F]
  /// Of the rows of each matrix, [rows] fp32, where the matrices are 8-bit floats (kernels/fp8.h);
  /// else undefined.
  at::Tensor qkv_scales, o_scales, gate_up_scales, down_scales;
  /// The buffers that the matrices are views of, with rows below and columns beside them for
  /// adapters (kernels::LoraGroup::extended); undefined where there are none.
  at::Tensor qkv_extended, o_extended, gate_up_extended, down_extended;
};

/// Rows and columns that the matrices of a layer have beside them.
struct LayerSpare {
  std::int64_t qkv = 0;
  std::int64_t o = 0;
  std::int64_t gate_up = 0;
  std::int64_t down = 0;
};

/// A whole model's weights. With tied embeddings `head` is the same tensor as `embed`. Also used
/// for gradients, where an undefined tensor means "not trained".
struct Weights {
  at::Tensor embed;  ///< [V, H]
  std::vector<LayerWeights> layers;
  at::Tensor final_norm;  ///< [H]
  at::Tensor head;        ///< [V, H]
};

/// A weight under its Hugging Face name: a view into a packed matrix.
struct NamedWeight {
  std::string name;
  at::Tensor view;
  bool is_norm = false;
  at::Tensor scales{};  ///< [rows] of the view, where it is of 8-bit floats
};

/// All tensors of a checkpoint of this model, in file order. The head is listed only when it is not
/// tied.
[[nodiscard]] std::vector<NamedWeight> named_weights(const Weights& weights,
                                                     const Qwen3Config& config);

/// The shapes that `weights` of this config has, through `make(hugging_face_like_name, shape,
/// is_norm)`: how weights are allocated and how a flat training buffer is laid out.
using MakeTensor = std::function<at::Tensor(const std::string& name,
                                            const std::vector<std::int64_t>& shape, bool is_norm)>;
[[nodiscard]] Weights make_weights(const Qwen3Config& config, const MakeTensor& make);

/// Uninitialised weights. With `fp8` the matrices of the layers are 8-bit floats; embeddings, head
/// and norms are of `dtype` all the same. With `spare`, one for each layer, which is for matrices
/// of `dtype`, each matrix is in an extended buffer, zero beside it.
[[nodiscard]] Weights allocate_weights(const Qwen3Config& config, at::ScalarType dtype,
                                       c10::Device device, bool fp8 = false,
                                       const std::vector<LayerSpare>& spare = {});

/// Bytes that they take, with what is beside matrices; tied embeddings count once.
[[nodiscard]] std::int64_t weight_bytes(const Weights& weights);

/// Fills `weights` from a checkpoint folder, converting to their dtype piece by piece, to 8-bit
/// floats from the numbers of the file; shows a
/// progress line. A missing tensor or a wrong shape is a data Error that names it. With
/// `check_finite`, so is a NaN or infinity. What is undefined in `weights` is left out.
void load_weights(const CheckpointReader& reader, const Qwen3Config& config, const Weights& weights,
                  bool check_finite = true);

/// Fills `out` with the elements from number `first` on of the tensor of that name,
/// whose shape must be `shape`. Errors as above.
void load_elements(const CheckpointReader& reader, const std::string& name,
                   const std::vector<std::int64_t>& shape, std::int64_t first,
                   const at::Tensor& out, bool check_finite);

/// Fills a matrix of 8-bit floats and its scales from the tensor of that name. Errors as above.
void load_fp8_rows(const CheckpointReader& reader, const NamedWeight& weight, bool check_finite);

}  // namespace weft::model
