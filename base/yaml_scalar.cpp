#include "base/yaml_scalar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

#include "base/json.h"
#include "base/text.h"

namespace weft {
namespace {

bool is_plain(const YamlNode& node) { return node.kind == YamlNode::Kind::kScalar && !node.quoted; }

template <typename T>
std::optional<T> parsed_whole(std::string_view text) {
  if (text.starts_with('+') && text.substr(1, 1) != "-") {
    text.remove_prefix(1);
  }
  T value{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("_-./+").find(c) != std::string_view::npos;
}

/// Whether a YAML reader (also an old one, with yes and no) takes the plain word for a string.
bool is_plain_word(std::string_view text) {
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_word_character)) {
    return false;
  }
  const char first = text.front();
  const bool letter = (first | 0x20) >= 'a' && (first | 0x20) <= 'z';
  const bool path =
      first == '/' || first == '_' || text.starts_with("./") || text.starts_with("../");
  if (!letter && !path) {
    return false;  // could be a number, a date or a list item
  }
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::array<std::string_view, 11> kReserved = {
      "true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan"};
  return std::find(kReserved.begin(), kReserved.end(), lower) == kReserved.end();
}

}  // namespace

std::optional<std::int64_t> yaml_int(const YamlNode& node) {
  return is_plain(node) ? parsed_whole<std::int64_t>(node.text) : std::nullopt;
}

std::optional<double> yaml_number(const YamlNode& node) {
  const std::optional<double> value =
      is_plain(node) ? parsed_whole<double>(node.text) : std::nullopt;
  return value && std::isfinite(*value) ? value : std::nullopt;
}

std::optional<bool> yaml_bool(const YamlNode& node) {
  if (is_plain(node)) {
    if (node.text == "true" || node.text == "True" || node.text == "TRUE") {
      return true;
    }
    if (node.text == "false" || node.text == "False" || node.text == "FALSE") {
      return false;
    }
  }
  return std::nullopt;
}

std::string yaml_text(std::string_view text) {
  if (is_plain_word(text)) {
    return std::string(text);
  }
  // A JSON string is a YAML string, but for DEL, which YAML does not allow as it is.
  std::string quoted;
  for (const char c : dump_json(Json(std::string(text)))) {
    quoted += c == '\x7f' ? "\\x7F" : std::string(1, c);
  }
  return quoted;
}

std::string yaml_number_text(double value) {
  std::string text = dump_json_python(Json(value));  // Python's repr: 0.5, 1e-05, 1e+16
  const std::size_t exponent = text.find('e');
  if (exponent != text.npos && text.find('.') == text.npos) {
    text.insert(exponent, ".0");
  }
  return text;
}

std::string describe_yaml(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return fmt::format("{}\"{}\"", node.quoted ? "the quoted string " : "", printable(node.text));
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "a map";
  }
  return "something else";
}

}  // namespace weft
