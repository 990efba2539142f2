#include "model/packed_batch.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/error.h"

namespace weft::model {
namespace {

template <typename T>
at::Tensor to_tensor(const std::vector<T>& values, at::ScalarType dtype, c10::Device device) {
  // From pinned memory the copy is part of the stream: the next batch is made ready while the GPU
  // works on this one. LibTorch keeps the memory until it has been read.
  const bool pinned = device.is_cuda();
  at::Tensor host = at::empty({static_cast<std::int64_t>(values.size())},
                              at::TensorOptions(dtype).pinned_memory(pinned));
  std::copy(values.begin(), values.end(), host.mutable_data_ptr<T>());
  return host.to(device, /*non_blocking=*/pinned);
}

}  // namespace

PackedBatch make_packed_batch(std::span<const std::int32_t> tokens,
                              std::span<const std::uint8_t> mask,
                              std::span<const std::int32_t> cu_seqlens, std::int64_t vocab_size,
                              c10::Device device) {
  if (mask.size() != tokens.size() || cu_seqlens.empty() || cu_seqlens.front() != 0 ||
      static_cast<std::size_t>(cu_seqlens.back()) != tokens.size()) {
    fail_internal(
        "a micro-batch of {} tokens has {} mask entries and document bounds that end at {}",
        tokens.size(), mask.size(), cu_seqlens.empty() ? -1 : cu_seqlens.back());
  }
  PackedBatch batch;
  std::vector<std::int64_t> ids(tokens.begin(), tokens.end());
  std::vector<std::int32_t> positions(tokens.size());
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> targets;
  for (const std::int64_t id : ids) {
    if (id < 0 || id >= vocab_size) {
      fail_data(
          "token id {} is outside the model's vocabulary of {}: the data was tokenised for another "
          "model",
          id, vocab_size);
    }
  }
  for (std::size_t d = 0; d + 1 < cu_seqlens.size(); ++d) {
    const std::int32_t first = cu_seqlens[d];
    batch.max_length = std::max<std::int64_t>(batch.max_length, cu_seqlens[d + 1] - first);
    for (std::int32_t i = first; i < cu_seqlens[d + 1]; ++i) {
      positions[static_cast<std::size_t>(i)] = i - first;
      if (i > first && mask[static_cast<std::size_t>(i)] != 0) {
        rows.push_back(i - 1);
        targets.push_back(ids[static_cast<std::size_t>(i)]);
      }
    }
  }
  batch.tokens = to_tensor(ids, at::kLong, device);
  batch.positions = to_tensor(positions, at::kInt, device);
  batch.cu_seqlens.assign(cu_seqlens.begin(), cu_seqlens.end());
  batch.rows = to_tensor(rows, at::kLong, device);
  batch.targets = to_tensor(targets, at::kLong, device);
  return batch;
}

}  // namespace weft::model
