#include "model/safetensors_json.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace weft::model {
namespace {

/// Receives the parser's events and knows which may come where, so that nothing but a header is
/// ever built.
class HeaderHandler {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  explicit HeaderHandler(std::string_view file) : file_(file) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool null() { return misplaced("null"); }
  bool boolean(bool value) { return misplaced(value ? "true" : "false"); }
  bool binary(binary_t&) { return misplaced("binary data"); }

  bool number_integer(number_integer_t value) { return misplaced(fmt::format("{}", value)); }
  bool number_float(number_float_t, const string_t& text) { return misplaced(printable(text)); }

  bool number_unsigned(number_unsigned_t value) {
    if (state_ == State::kShape) return add_size(value);
    if (state_ == State::kOffsets) return add_offset(value);
    return misplaced(fmt::format("{}", value));
  }

  bool string(string_t& value) {
    if (state_ == State::kMetadata) {
      header_.metadata[key_] = std::move(value);
      return true;
    }
    if (state_ == State::kTensor && key_ == "dtype") return set_dtype(value);
    return misplaced(fmt::format("the string '{}'", printable(value)));
  }

  bool start_object(std::size_t) {
    if (state_ == State::kStart) {
      state_ = State::kNames;
    } else if (state_ == State::kNames && key_ == "__metadata__") {
      state_ = State::kMetadata;
    } else if (state_ == State::kNames) {
      state_ = State::kTensor;
      tensor_ = key_;
      info_ = TensorInfo{};
      has_dtype_ = has_shape_ = false;
      offsets_ = -1;
      key_.clear();
    } else {
      return misplaced("an object");
    }
    return true;
  }

  bool end_object() {
    if (state_ == State::kTensor) finish_tensor();
    state_ = state_ == State::kNames ? State::kEnd : State::kNames;
    return true;
  }

  bool start_array(std::size_t) {
    if (state_ == State::kTensor && key_ == "shape" && !has_shape_) {
      has_shape_ = true;
      state_ = State::kShape;
    } else if (state_ == State::kTensor && key_ == "data_offsets" && offsets_ < 0) {
      offsets_ = 0;
      state_ = State::kOffsets;
    } else {
      return misplaced("a list");
    }
    return true;
  }

  bool end_array() {
    if (state_ == State::kOffsets && offsets_ != 2) {
      fail_tensor("has {} data_offsets; 2 are expected", offsets_);
    }
    state_ = State::kTensor;
    return true;
  }

  bool key(string_t& value) {
    if (state_ == State::kNames) {
      check_new_name(value);
    } else if (state_ == State::kMetadata && header_.metadata.contains(value)) {
      fail_data("{}: the header's __metadata__ holds '{}' twice", file_, printable(value));
    } else if (state_ == State::kTensor) {
      check_member(value);
    }
    key_ = std::move(value);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& e) {
    fail_data("{}: the header is not valid JSON at byte {}: {}", file_, position,
              printable(e.what(), 200));
  }

 private:
  enum class State { kStart, kNames, kMetadata, kTensor, kShape, kOffsets, kEnd };

  template <typename... Args>
  [[noreturn]] void fail_tensor(fmt::format_string<Args...> format, Args&&... args) {
    fail_data("{}: tensor '{}' {}", file_, printable(tensor_),
              fmt::format(format, std::forward<Args>(args)...));
  }

  bool misplaced(std::string_view found) {
    switch (state_) {
      case State::kStart:
      case State::kEnd:
        fail_data("{}: the header is {}, not a JSON object", file_, found);
      case State::kNames:
        fail_data("{}: the header holds {} at '{}' where an object is expected", file_, found,
                  printable(key_));
      case State::kMetadata:
        fail_data("{}: the header's __metadata__ holds {} at '{}'; its values must be strings",
                  file_, found, printable(key_));
      case State::kTensor:
        fail_tensor("has {} as its {}, which is given twice or of the wrong type", found,
                    printable(key_));
      case State::kShape:
        fail_tensor("has {} in its shape; sizes are whole numbers from 0 to 2^63 - 1", found);
      case State::kOffsets:
        fail_tensor("has {} in its data_offsets; they are whole numbers from 0 to 2^64 - 1", found);
    }
    return false;
  }

  bool add_size(number_unsigned_t value) {
    if (value > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max())) {
      return misplaced(fmt::format("{}", value));
    }
    if (info_.shape.size() == kMaxTensorDims) {
      fail_tensor("has more than {} dimensions", kMaxTensorDims);
    }
    info_.shape.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool add_offset(number_unsigned_t value) {
    if (offsets_ == 2) fail_tensor("has more than 2 data_offsets");
    (offsets_ == 0 ? info_.begin : info_.end) = value;
    ++offsets_;
    return true;
  }

  bool set_dtype(const string_t& value) {
    if (has_dtype_) return misplaced(fmt::format("the string '{}'", printable(value)));
    const std::optional<DType> dtype = dtype_from_name(value);
    if (!dtype) {
      fail_tensor("has the unknown dtype '{}'; known are {}", printable(value), all_dtype_names());
    }
    info_.dtype = *dtype;
    has_dtype_ = true;
    return true;
  }

  void check_new_name(const string_t& name) {
    if (name == "__metadata__") {
      if (std::exchange(has_metadata_, true)) {
        fail_data("{}: the header holds __metadata__ twice", file_);
      }
      return;
    }
    if (header_.tensors.contains(name)) {
      fail_data("{}: the header lists tensor '{}' twice", file_, printable(name));
    }
    const std::string problem = tensor_name_problem(name);
    if (!problem.empty()) fail_data("{}: tensor name '{}' {}", file_, printable(name), problem);
  }

  void check_member(const string_t& name) {
    if (name != "dtype" && name != "shape" && name != "data_offsets") {
      fail_tensor("has a member '{}'; only dtype, shape and data_offsets are allowed",
                  printable(name));
    }
  }

  void finish_tensor() {
    if (!has_dtype_) fail_tensor("has no dtype");
    if (!has_shape_) fail_tensor("has no shape");
    if (offsets_ != 2) fail_tensor("has no data_offsets");
    header_.tensors.emplace(tensor_, std::move(info_));
  }

  std::string_view file_;
  SafetensorsHeader header_;
  State state_ = State::kStart;
  std::string key_;
  std::string tensor_;
  TensorInfo info_;
  bool has_metadata_ = false;
  bool has_dtype_ = false;
  bool has_shape_ = false;
  int offsets_ = -1;  // how many were read, -1 before the list
};

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

std::string tensor_name_problem(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxTensorName) {
    return fmt::format("has {} bytes; at most {} are allowed", name.size(), kMaxTensorName);
  }
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "holds a control character";
  }
  if (name == "__metadata__") return "is reserved";
  return is_utf8(name) ? "" : "is not valid UTF-8";
}

SafetensorsHeader parse_header_json(std::string_view json, std::string_view file) {
  if (!is_utf8(json)) fail_data("{}: the header is not valid UTF-8", file);
  const std::string_view text = trim(json);
  if (!text.starts_with('{')) {
    fail_data("{}: the header is not a JSON object: it begins with '{}'", file,
              printable(text.substr(0, 16)));
  }
  // The JSON library takes a zero byte for the end of the text; bytes behind it would go unseen.
  if (text.find('\0') != std::string_view::npos) {
    fail_data("{}: the header is not valid JSON: it holds a zero byte", file);
  }
  HeaderHandler handler(file);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &handler)) {
    fail_data("{}: the header is not valid JSON", file);
  }
  return handler.take();
}

}  // namespace weft::model
