#include "model/safetensors_header.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "model/safetensors_json.h"

namespace weft::model {
namespace {

void check_tile(const SafetensorsHeader& header, std::string_view file,
                std::uint64_t buffer_bytes) {
  std::vector<const TensorMap::value_type*> by_offset;
  by_offset.reserve(header.tensors.size());
  for (const auto& entry : header.tensors) by_offset.push_back(&entry);
  std::stable_sort(by_offset.begin(), by_offset.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t expected = 0;
  for (const auto* entry : by_offset) {
    const TensorInfo& info = entry->second;
    if (info.begin != expected) {
      fail_data(
          "{}: tensor '{}' begins at offset {} of the buffer where {} is expected: tensors must "
          "follow each other with no hole and no overlap",
          file, printable(entry->first), info.begin, expected);
    }
    expected = info.end;
  }
  if (expected != buffer_bytes) {
    fail_data(
        "{}: the header describes {} bytes of tensors but the file holds {} after the header: {}",
        file, expected, buffer_bytes,
        expected > buffer_bytes ? "it is cut short; download or copy it again"
                                : "it has trailing bytes that belong to no tensor");
  }
}

void check_sizes(const SafetensorsHeader& header, std::string_view file) {
  for (const auto& [name, info] : header.tensors) {
    const std::string what = fmt::format("{}: tensor '{}'", file, printable(name));
    if (info.end < info.begin) {
      fail_data("{} has data_offsets [{}, {}]: the end lies before the begin", what, info.begin,
                info.end);
    }
    const std::uint64_t needed = tensor_bytes(info.dtype, info.shape, what);
    if (needed != info.bytes()) {
      fail_data("{} of type {} and shape {} needs {} bytes but its data_offsets [{}, {}] hold {}",
                what, dtype_name(info.dtype), shape_text(info.shape), needed, info.begin, info.end,
                info.bytes());
    }
  }
}

std::string json_quoted(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void check_name(const TensorSpec& tensor) {
  const std::string problem = tensor_name_problem(tensor.name);
  if (!problem.empty()) fail_data("tensor name '{}' {}", printable(tensor.name), problem);
  if (tensor.shape.size() > kMaxTensorDims) {
    fail_data("tensor '{}' has {} dimensions; at most {} can be written", tensor.name,
              tensor.shape.size(), kMaxTensorDims);
  }
}

std::string header_json(std::span<const TensorSpec> tensors, const Metadata& metadata) {
  std::string json = "{\"__metadata__\":{";
  for (const auto& [key, value] : metadata) {
    if (json.back() != '{') json += ',';
    json += json_quoted(key) + ':' + json_quoted(value);
  }
  json += '}';
  std::uint64_t offset = 0;
  for (const TensorSpec& tensor : tensors) {
    check_name(tensor);
    const std::string what = fmt::format("tensor '{}'", tensor.name);
    const std::uint64_t end =
        checked_add(offset, tensor_bytes(tensor.dtype, tensor.shape, what), what);
    json += fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                        json_quoted(tensor.name), dtype_name(tensor.dtype),
                        fmt::join(tensor.shape, ","), offset, end);
    offset = end;
  }
  return json + '}';
}

void check_unique(std::span<const TensorSpec> tensors) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const TensorSpec& tensor : tensors) names.emplace_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) fail_data("tensor '{}' is listed twice", printable(*twice));
}

}  // namespace

std::uint64_t element_count(std::span<const std::int64_t> shape, std::string_view what) {
  std::uint64_t count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0)
      fail_data("{} has the negative size {} in shape {}", what, size, shape_text(shape));
    if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(size), &count)) {
      fail_data("{} has shape {}, whose product does not fit in 64 bits", what, shape_text(shape));
    }
  }
  return count;
}

std::uint64_t tensor_bytes(DType dtype, std::span<const std::int64_t> shape,
                           std::string_view what) {
  std::uint64_t bits = 0;
  if (__builtin_mul_overflow(element_count(shape, what),
                             static_cast<std::uint64_t>(dtype_bits(dtype)), &bits)) {
    fail_data("{} of type {} and shape {} has more bytes than fit in 64 bits", what,
              dtype_name(dtype), shape_text(shape));
  }
  if (bits % 8 != 0) {
    fail_data("{} of type {} and shape {} ends inside a byte", what, dtype_name(dtype),
              shape_text(shape));
  }
  return bits / 8;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

SafetensorsHeader parse_safetensors_header(std::string_view json, std::string_view file,
                                           std::uint64_t buffer_bytes) {
  SafetensorsHeader header = parse_header_json(json, file);
  check_sizes(header, file);
  check_tile(header, file, buffer_bytes);
  return header;
}

void sort_for_safetensors(std::vector<TensorSpec>& tensors) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorSpec& a, const TensorSpec& b) {
    return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
  });
}

std::string make_safetensors_header(std::span<const TensorSpec> tensors, const Metadata& metadata) {
  check_unique(tensors);
  std::string json = header_json(tensors, metadata);
  json.append((8 - json.size() % 8) % 8, ' ');
  if (json.size() > kMaxSafetensorsHeader) {
    fail_data("a safetensors header of {} bytes for {} tensors is over the format's limit of {}",
              json.size(), tensors.size(), kMaxSafetensorsHeader);
  }
  std::string result(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) result[i] = static_cast<char>(json.size() >> (8 * i) & 0xff);
  return result + json;
}

std::optional<std::string> foreign_format(std::string_view first_bytes) {
  using namespace std::string_view_literals;
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 13> kMagics = {{
      {"PK\x03\x04"sv, "a zip file (PyTorch's .pt, .pth or .bin)"},
      {"PK\x05\x06"sv, "an empty zip file"},
      {"\x80\x02"sv, "a pickle file (PyTorch's old .pt or .bin)"},
      {"\x80\x03"sv, "a pickle file (PyTorch's old .pt or .bin)"},
      {"\x80\x04"sv, "a pickle file"},
      {"\x80\x05"sv, "a pickle file"},
      {"GGUF"sv, "a GGUF file (llama.cpp)"},
      {"\x89HDF\r\n\x1a\n"sv, "an HDF5 file"},
      {"\x93NUMPY"sv, "a NumPy file"},
      {"\x1f\x8b"sv, "a gzip file"},
      {"version https://git-lfs"sv, "a Git LFS pointer; fetch the file itself with 'git lfs pull'"},
      {"<!DOCTYPE"sv, "an HTML page"},
      {"<html"sv, "an HTML page"},
  }};
  for (const auto& [magic, format] : kMagics) {
    if (first_bytes.starts_with(magic)) return std::string(format);
  }
  return std::nullopt;
}

}  // namespace weft::model
