#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/dtype.h"

namespace weft::model {

/// What weft accepts in a safetensors file. The header limit is the format's own.
inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;
inline constexpr std::size_t kMaxTensorDims = 32;
inline constexpr std::size_t kMaxTensorName = 4096;

/// A tensor that is to be written.
struct TensorSpec {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;
};

/// A tensor in a file: its bytes are [begin, end) of the file's buffer, the part behind the header.
struct TensorInfo {
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  [[nodiscard]] std::uint64_t bytes() const { return end - begin; }
};

using TensorMap = std::map<std::string, TensorInfo, std::less<>>;
using Metadata = std::map<std::string, std::string, std::less<>>;

struct SafetensorsHeader {
  TensorMap tensors;
  Metadata metadata;
};

/// Elements of the shape; a data Error that names `what` when they do not fit in 64 bits or a size
/// is negative.
[[nodiscard]] std::uint64_t element_count(std::span<const std::int64_t> shape,
                                          std::string_view what);
/// Bytes of a tensor of that type and shape, likewise; also an Error when they end inside a byte
/// (4- and 6-bit types).
[[nodiscard]] std::uint64_t tensor_bytes(DType dtype, std::span<const std::int64_t> shape,
                                         std::string_view what);
/// "[2, 3]".
[[nodiscard]] std::string shape_text(std::span<const std::int64_t> shape);

/// Parses and checks the JSON part of a header whose buffer has `buffer_bytes` bytes: every rule of
/// the format, each with a data Error of its own that starts with `file` and names the tensor.
[[nodiscard]] SafetensorsHeader parse_safetensors_header(std::string_view json,
                                                         std::string_view file,
                                                         std::uint64_t buffer_bytes);

/// Puts tensors into the order in which the Python library lays them out: descending type, then
/// name by bytes.
void sort_for_safetensors(std::vector<TensorSpec>& tensors);

/// The beginning of a file with these tensors in this order, length prefix and padding included. A
/// data Error names the tensor whose name or shape is not allowed or that is listed twice.
[[nodiscard]] std::string make_safetensors_header(std::span<const TensorSpec> tensors,
                                                  const Metadata& metadata);

/// What else a file that is not safetensors is, from its first bytes: "a pickle file (PyTorch's
/// .bin or .pt)", or nothing when they say nothing.
[[nodiscard]] std::optional<std::string> foreign_format(std::string_view first_bytes);

}  // namespace weft::model
