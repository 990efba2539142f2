#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace weft::model {

/// Everything that is trained, in one flat buffer with one flat gradient buffer of the same layout:
/// one norm, one optimizer pass, one all-reduce. Entries are views; each starts on a 64-byte
/// boundary and the gaps stay zero.
class FlatParameters {
 public:
  struct Entry {
    std::string name;
    std::vector<std::int64_t> shape;
    std::int64_t offset;  ///< in elements
    bool decay;           ///< whether weight decay applies
  };

  /// Declares an entry; all are declared before allocate(). Returns its index.
  std::size_t add(std::string name, std::vector<std::int64_t> shape, bool decay);

  /// Makes both buffers, zero-filled. `dtype` fp32 (fp64 in tests).
  void allocate(at::ScalarType dtype, c10::Device device);

  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] at::Tensor value(std::size_t index) const { return view(values_, index); }
  [[nodiscard]] at::Tensor gradient(std::size_t index) const { return view(gradients_, index); }
  /// The same view of another buffer of this layout (an optimizer moment).
  [[nodiscard]] at::Tensor view(const at::Tensor& buffer, std::size_t index) const;
  [[nodiscard]] const at::Tensor& values() const { return values_; }
  [[nodiscard]] const at::Tensor& gradients() const { return gradients_; }
  /// Number of trained numbers, without the gaps.
  [[nodiscard]] std::int64_t count() const { return count_; }

 private:
  std::vector<Entry> entries_;
  std::int64_t size_ = 0;
  std::int64_t count_ = 0;
  at::Tensor values_;
  at::Tensor gradients_;
};

}  // namespace weft::model
