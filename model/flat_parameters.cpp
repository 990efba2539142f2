#include "model/flat_parameters.h"

#include <ATen/ops/zeros.h>

#include "base/checked.h"

namespace weft::model {
namespace {

constexpr std::int64_t kAlignment = 16;  // elements: 64 bytes of fp32

}  // namespace

std::size_t FlatParameters::add(std::string name, std::vector<std::int64_t> shape, bool decay) {
  const std::int64_t elements = c10::multiply_integers(shape);
  entries_.push_back({std::move(name), std::move(shape), size_, decay});
  count_ += elements;
  size_ = checked_add(size_, (elements + kAlignment - 1) / kAlignment * kAlignment,
                      "trained parameters");
  return entries_.size() - 1;
}

void FlatParameters::allocate(at::ScalarType dtype, c10::Device device) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  values_ = at::zeros({size_}, options);
  gradients_ = at::zeros({size_}, options);
}

at::Tensor FlatParameters::view(const at::Tensor& buffer, std::size_t index) const {
  const Entry& entry = entries_.at(index);
  return buffer.narrow(0, entry.offset, c10::multiply_integers(entry.shape)).view(entry.shape);
}

}  // namespace weft::model
