#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace weft::model {

/// A micro-batch of T tokens: whole documents laid end to end, no padding.
struct PackedBatch {
  at::Tensor tokens;                     ///< [T] int64
  at::Tensor positions;                  ///< [T] int32, restarting at each document
  std::vector<std::int32_t> cu_seqlens;  ///< first row of each document, and T
  std::int64_t max_length = 0;           ///< of a document
  at::Tensor rows;                       ///< [N] int64: rows whose next token is a target
  at::Tensor targets;                    ///< [N] int64: that next token

  [[nodiscard]] std::int64_t size() const { return tokens.size(0); }
  [[nodiscard]] std::int64_t target_count() const { return rows.size(0); }
};

/// Builds a batch on `device`. mask[i] != 0 means that token i is a target (predicted from i - 1);
/// the first token of a document never is. Every token must be in [0, vocab_size), else a data
/// Error.
[[nodiscard]] PackedBatch make_packed_batch(std::span<const std::int32_t> tokens,
                                            std::span<const std::uint8_t> mask,
                                            std::span<const std::int32_t> cu_seqlens,
                                            std::int64_t vocab_size, c10::Device device);

}  // namespace weft::model
