#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/json.h"

namespace weft {
namespace {

/// As Python's repr(float): the shortest digits that round-trip, with an exponent outside 1e-4 <=
/// |x| < 1e16.
std::string python_float(double value) {
  if (std::isnan(value)) {
    return "NaN";
  }
  if (std::isinf(value)) {
    return value < 0 ? "-Infinity" : "Infinity";
  }
  std::array<char, 40> buffer{};
  const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::abs(value),
                                     std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<std::size_t>(written.ptr - buffer.data()));
  const std::size_t e = text.find('e');
  const int exponent = std::atoi(text.data() + e + 1);
  std::string digits(text.substr(0, 1));
  if (e > 2) {
    digits += text.substr(2, e - 2);
  }
  const std::string sign = std::signbit(value) ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    const std::string fraction = digits.size() > 1 ? "." + digits.substr(1) : "";
    return fmt::format("{}{}{}e{}{:02}", sign, digits[0], fraction, exponent < 0 ? '-' : '+',
                       std::abs(exponent));
  }
  if (exponent < 0) {
    return fmt::format("{}0.{}{}", sign, std::string(static_cast<std::size_t>(-exponent - 1), '0'),
                       digits);
  }
  const std::size_t whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) {
    return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  }
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

/// Writes as Python's json module does; `indent` below 0 means on one line.
class PythonDumper {
 public:
  PythonDumper(int indent, bool sort_keys) : indent_(indent), sort_keys_(sort_keys) {}

  void write(const Json& json) {
    if (json.is_object()) {
      write_object(json);
    } else if (json.is_array()) {
      write_array(json);
    } else if (json.is_string()) {
      write_string(json.get_ref<const std::string&>());
    } else if (json.is_number_float()) {
      out_ += python_float(json.get<double>());
    } else {
      out_ += json.dump();
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void write_object(const Json& json) {
    std::vector<const Json::object_t::value_type*> members;
    for (const auto& member : json.get_ref<const Json::object_t&>()) {
      members.push_back(&member);
    }
    if (sort_keys_) {  // UTF-8 bytes sort as Python's code points do
      std::sort(members.begin(), members.end(),
                [](const auto* a, const auto* b) { return a->first < b->first; });
    }
    out_ += '{';
    ++depth_;
    for (std::size_t i = 0; i < members.size(); ++i) {
      begin_item(i);
      write_string(members[i]->first);
      out_ += ": ";
      write(members[i]->second);
    }
    end_items(members.empty());
    out_ += '}';
  }

  void write_array(const Json& json) {
    out_ += '[';
    ++depth_;
    for (std::size_t i = 0; i < json.size(); ++i) {
      begin_item(i);
      write(json[i]);
    }
    end_items(json.empty());
    out_ += ']';
  }

  void begin_item(std::size_t index) {
    if (index > 0) {
      out_ += indent_ < 0 ? ", " : ",";
    }
    new_line();
  }

  void end_items(bool empty) {
    --depth_;
    if (!empty) {
      new_line();
    }
  }

  void new_line() {
    if (indent_ >= 0) {
      out_ += '\n';
      out_.append(static_cast<std::size_t>(indent_ * depth_), ' ');
    }
  }

  void write_string(const std::string& text) {
    // dump() escapes exactly what Python does with ensure_ascii=False.
    out_ += Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  int indent_;
  bool sort_keys_;
  int depth_ = 0;
  std::string out_;
};

}  // namespace

std::string dump_json(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string dump_json_python(const Json& json) {
  PythonDumper dumper(-1, false);
  dumper.write(json);
  return dumper.take();
}

std::string dump_json_pretty(const Json& json, bool sort_keys) {
  PythonDumper dumper(2, sort_keys);
  dumper.write(json);
  return dumper.take();
}

}  // namespace weft
