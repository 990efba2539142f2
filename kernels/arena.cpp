#include "kernels/arena.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/checked.h"
#include "kernels/device_properties.h"

namespace weft::kernels {
namespace {

constexpr std::int64_t kAlignment = 64;
constexpr std::int64_t kSmallestBlock = std::int64_t{1} << 20;
constexpr std::int64_t kLargestStep = std::int64_t{256} << 20;

std::int64_t bytes_of(at::IntArrayRef sizes, at::ScalarType dtype) {
  auto bytes = static_cast<std::int64_t>(c10::elementSize(dtype));
  for (const std::int64_t size : sizes) {
    bytes = checked_mul(bytes, size, "temporary tensor");
  }
  return checked_add(bytes, kAlignment - 1, "temporary tensor") / kAlignment * kAlignment;
}

}  // namespace

void Arena::add_block(std::int64_t bytes) {
  blocks_.push_back(at::empty({bytes}, at::TensorOptions(at::kByte).device(device_)));
}

at::Tensor Arena::take(at::IntArrayRef sizes, at::ScalarType dtype) {
  const std::int64_t bytes = bytes_of(sizes, dtype);
  while (block_ < blocks_.size() && offset_ + bytes > blocks_[block_].numel()) {
    ++block_;
    offset_ = 0;
  }
  if (block_ == blocks_.size()) {
    // Small steps: until the next reset the unused end of the last block is lost.
    const std::int64_t step = std::min(reserved_bytes() / 8, kLargestStep);
    add_block(std::max({bytes, step, kSmallestBlock}));
  }
  at::Tensor result = blocks_[block_]
                          .narrow(0, offset_, bytes)
                          .view(dtype)
                          .narrow(0, 0, c10::multiply_integers(sizes))
                          .view(sizes);
  offset_ += bytes;
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  return result;
}

// LibTorch keeps a GPU's memory that is given back, in pieces that are too small for the one block:
// without more, a run would take up to twice what it needs.
void Arena::replace_blocks(std::int64_t bytes) {
  blocks_.clear();
  give_back_unused(device_);
  add_block(bytes);
}

void Arena::reserve(std::int64_t bytes) {
  if (bytes > reserved_bytes()) {
    replace_blocks(bytes);
  }
}

void Arena::reset() {
  if (blocks_.size() > 1) {
    replace_blocks(peak_ + kAlignment);
  }
  block_ = 0;
  offset_ = 0;
  used_ = 0;
}

std::int64_t Arena::reserved_bytes() const {
  std::int64_t total = 0;
  for (const at::Tensor& block : blocks_) {
    total += block.numel();
  }
  return total;
}

at::Tensor working_copy(const at::Tensor& rows, at::ScalarType dtype, Arena& scratch) {
  if (rows.scalar_type() == dtype) {
    return rows;
  }
  at::Tensor copy = scratch.take(rows.sizes(), dtype);
  copy.copy_(rows);
  return copy;
}

}  // namespace weft::kernels
