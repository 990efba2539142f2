#include "model/kv_cache.h"

#include <ATen/ops/empty.h>

#include "base/error.h"

namespace weft::model {

KvCache::KvCache(const Qwen3Config& config, std::int64_t capacity, at::ScalarType dtype,
                 c10::Device device)
    : capacity_(capacity) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    keys_.push_back(at::empty({capacity, config.num_key_value_heads, config.head_dim}, options));
    values_.push_back(at::empty({capacity, config.num_key_value_heads, config.head_dim}, options));
  }
}

void KvCache::append(std::int64_t layer, const at::Tensor& keys, const at::Tensor& values) {
  const std::int64_t count = keys.size(0);
  if (length_ + count > capacity_) {
    fail_internal("the key/value cache holds {} of {} positions, {} more do not fit", length_,
                  capacity_, count);
  }
  keys_[static_cast<std::size_t>(layer)].narrow(0, length_, count).copy_(keys);
  values_[static_cast<std::size_t>(layer)].narrow(0, length_, count).copy_(values);
}

at::Tensor KvCache::keys(std::int64_t layer, std::int64_t count) const {
  return keys_[static_cast<std::size_t>(layer)].narrow(0, 0, count);
}

at::Tensor KvCache::values(std::int64_t layer, std::int64_t count) const {
  return values_[static_cast<std::size_t>(layer)].narrow(0, 0, count);
}

}  // namespace weft::model
