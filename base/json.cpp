#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/text.h"

namespace weft {
namespace {

/// Builds the value from the parser's events. nlohmann's own builder looks each key up before it
/// inserts it, which is quadratic for an ordered object (a vocabulary has 150,000 keys); this one
/// appends and looks for duplicates once, when the object ends.
class JsonBuilder {
 public:
  JsonBuilder(std::string_view name, const JsonLimits& limits) : name_(name), limits_(limits) {}

  Json take() { return std::move(root_); }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(std::int64_t value) { return add(value); }
  bool number_unsigned(std::uint64_t value) { return add(value); }
  bool number_float(double value, const std::string& text) {
    // The parser turns an integer of more than 64 bits into a float, which would lose digits
    // silently.
    if (text.find_first_of(".eE") == text.npos) {
      fail_data("{}: the integer {} does not fit in 64 bits", name_, printable(text, 40));
    }
    return add(value);
  }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // JSON text has none

  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }
  bool end_object() {
    check_unique_keys(*open_.back());
    open_.pop_back();
    return true;
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …"
    std::string_view what = error.what();
    if (const std::size_t end = what.find("] "); what.starts_with('[') && end != what.npos) {
      what.remove_prefix(end + 2);
    }
    fail_data("{}: not valid JSON: {}", name_, printable(what, 300));
  }

 private:
  using Members = std::vector<std::pair<const std::string, Json>>;

  Json* add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      auto& items = parent.get_ref<Json::array_t&>();
      items.push_back(std::move(value));
      return &items.back();
    }
    Members& members = parent.get_ref<Json::object_t&>();
    members.emplace_back(std::move(key_), std::move(value));
    return &members.back().second;
  }

  bool open(Json value) {
    if (open_.size() >= limits_.max_depth) {
      fail_data("{}: JSON nested deeper than {} levels", name_, limits_.max_depth);
    }
    // Stays valid while it is open: until then only values inside it are added.
    open_.push_back(add(std::move(value)));
    return true;
  }

  void check_unique_keys(const Json& object) const {
    const Members& members = object.get_ref<const Json::object_t&>();
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const auto& member : members) {
      keys.emplace_back(member.first);
    }
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice != keys.end()) {
      fail_data("{}: the key \"{}\" stands twice in one object", name_, printable(*twice));
    }
  }

  std::string_view name_;
  JsonLimits limits_;
  Json root_;
  std::string key_;
  std::vector<Json*> open_;
};

std::string_view type_name(const Json& json) {
  switch (json.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::string:
      return "a string";
    case Json::value_t::boolean:
      return "true or false";
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return "an integer";
    case Json::value_t::number_float:
      return "a number with a fraction";
    case Json::value_t::binary:
    case Json::value_t::discarded:
      break;
  }
  return "something else";
}

[[noreturn]] void fail_type(std::string_view name, std::string_view key, std::string_view expected,
                            const Json& found) {
  fail_data("{}: \"{}\" must be {}, found {}", name, key, expected, type_name(found));
}

std::int64_t to_int(const Json& value, std::string_view key, std::string_view name) {
  if (!value.is_number_integer()) {
    fail_type(name, key, "an integer", value);
  }
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
    fail_data("{}: \"{}\" is {}, more than the largest integer allowed, {}", name, key,
              value.get<std::uint64_t>(), std::numeric_limits<std::int64_t>::max());
  }
  return value.get<std::int64_t>();
}

}  // namespace

Json parse_json(std::string_view text, std::string_view name, const JsonLimits& limits) {
  // The parser takes a NUL byte for the end of the text.
  if (const std::size_t nul = text.find('\0'); nul != text.npos) {
    fail_data("{}: not valid JSON: a NUL byte at byte {}", name, nul);
  }
  JsonBuilder builder(name, limits);
  Json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

Json read_json(FileSystem& files, const fs::path& path, const JsonLimits& limits) {
  return parse_json(read_file(files, path), path.string(), limits);
}

const Json* json_find(const Json& json, std::string_view key) {
  if (!json.is_object()) {
    return nullptr;
  }
  for (const auto& [name, value] : json.get_ref<const Json::object_t&>()) {
    if (name == key) {
      return value.is_null() ? nullptr : &value;
    }
  }
  return nullptr;
}

const Json& json_member(const Json& json, std::string_view key, std::string_view name) {
  if (!json.is_object()) {
    fail_data("{}: expected an object with the key \"{}\", found {}", name, key, type_name(json));
  }
  for (const auto& [member, value] : json.get_ref<const Json::object_t&>()) {
    if (member == key) {
      return value;
    }
  }
  fail_data("{}: the key \"{}\" is missing", name, key);
}

std::int64_t json_int(const Json& json, std::string_view key, std::string_view name) {
  return to_int(json_member(json, key, name), key, name);
}

double json_number(const Json& json, std::string_view key, std::string_view name) {
  const Json& value = json_member(json, key, name);
  if (!value.is_number()) {
    fail_type(name, key, "a number", value);
  }
  return value.get<double>();
}

bool json_bool(const Json& json, std::string_view key, std::string_view name) {
  const Json& value = json_member(json, key, name);
  if (!value.is_boolean()) {
    fail_type(name, key, "true or false", value);
  }
  return value.get<bool>();
}

const std::string& json_string(const Json& json, std::string_view key, std::string_view name) {
  const Json& value = json_member(json, key, name);
  if (!value.is_string()) {
    fail_type(name, key, "a string", value);
  }
  return value.get_ref<const std::string&>();
}

std::vector<std::int64_t> json_ints(const Json& json, std::string_view key, std::string_view name) {
  const Json& value = json_member(json, key, name);
  if (!value.is_array()) {
    fail_type(name, key, "an array of integers", value);
  }
  std::vector<std::int64_t> numbers;
  numbers.reserve(value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    numbers.push_back(to_int(value[i], fmt::format("{}[{}]", key, i), name));
  }
  return numbers;
}

}  // namespace weft
