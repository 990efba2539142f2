#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/decoder_layer.h"

namespace weft::model {

/// The layers' part of one training pass: what it reads, works in and leaves.
struct LayerPass {
  LayerContext context;
  std::vector<LayerTape> tapes;
  std::vector<at::Tensor> inputs;  ///< of each layer, where layers are computed again
  at::Tensor x;                    ///< [T, H] the residual stream
  at::Tensor delta;                ///< [T, H] the last layer's output, not yet added
  at::Tensor dx;  ///< [T, H] the gradient, of the layers' result and then of theirs
};

}  // namespace weft::model
