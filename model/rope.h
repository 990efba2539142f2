#pragma once

#include <ATen/core/Tensor.h>

#include "model/qwen3_config.h"

namespace weft::model {

/// Tables of rotary position embedding (Su et al., 2021), with YaRN scaling (Peng et al., 2023)
/// where the config asks for it.
struct RopeTable {
  at::Tensor cos;  ///< [positions, head_dim / 2], fp32 (fp64 for fp64 models), YaRN's attention
                   ///< factor included
  at::Tensor sin;
};

/// Tables for positions 0 to `positions` - 1. Angles are computed in fp64.
[[nodiscard]] RopeTable make_rope_table(const Qwen3Config& config, std::int64_t positions,
                                        at::ScalarType dtype, c10::Device device);

}  // namespace weft::model
