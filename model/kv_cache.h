#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/qwen3_config.h"

namespace weft::model {

/// Keys and values of one sequence for all layers, with room for `capacity` positions.
class KvCache {
 public:
  KvCache(const Qwen3Config& config, std::int64_t capacity, at::ScalarType dtype,
          c10::Device device);

  /// Positions held so far, the same for all layers once a forward pass is over.
  [[nodiscard]] std::int64_t length() const { return length_; }
  [[nodiscard]] std::int64_t capacity() const { return capacity_; }

  /// Stores keys and values [n, heads_k, head_dim] of layer `layer` at positions length() onwards.
  void append(std::int64_t layer, const at::Tensor& keys, const at::Tensor& values);
  /// Views [count, heads_k, head_dim] of the first `count` positions.
  [[nodiscard]] at::Tensor keys(std::int64_t layer, std::int64_t count) const;
  [[nodiscard]] at::Tensor values(std::int64_t layer, std::int64_t count) const;
  /// Called once after all layers have appended n positions.
  void advance(std::int64_t n) { length_ += n; }
  /// Forgets all positions from `length` on.
  void truncate(std::int64_t length) { length_ = length; }

 private:
  std::int64_t capacity_;
  std::int64_t length_ = 0;
  std::vector<at::Tensor> keys_;
  std::vector<at::Tensor> values_;
};

}  // namespace weft::model
