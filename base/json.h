#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"

namespace weft {

/// JSON whose objects keep their key order (chat templates print tools in the order given; merged
/// configs keep theirs). Looking a key up is linear in the number of keys.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  std::size_t max_depth = 128;
};

/// Parses one JSON value strictly: duplicate keys, trailing text, invalid UTF-8, numbers out of
/// range and nesting deeper than the limit are data Errors that start with `name`. Linear in the
/// size of the text, also for huge objects.
[[nodiscard]] Json parse_json(std::string_view text, std::string_view name,
                              const JsonLimits& limits = {});
[[nodiscard]] Json read_json(FileSystem& files, const fs::path& path,
                             const JsonLimits& limits = {});

/// Member access with a data Error that names `name` (a file, or a file and a row), the key, the
/// type found and the one expected. Integers are range-checked; 1.0 is not an integer. `json` must
/// be an object, else that is the error.
[[nodiscard]] const Json& json_member(const Json& json, std::string_view key,
                                      std::string_view name);
[[nodiscard]] std::int64_t json_int(const Json& json, std::string_view key, std::string_view name);
[[nodiscard]] double json_number(const Json& json, std::string_view key, std::string_view name);
[[nodiscard]] bool json_bool(const Json& json, std::string_view key, std::string_view name);
[[nodiscard]] const std::string& json_string(const Json& json, std::string_view key,
                                             std::string_view name);
[[nodiscard]] std::vector<std::int64_t> json_ints(const Json& json, std::string_view key,
                                                  std::string_view name);
/// The member, or nullptr when it is absent or null.
[[nodiscard]] const Json* json_find(const Json& json, std::string_view key);

/// Compact JSON with doubles that round-trip; non-finite doubles become null. Here and below, bytes
/// that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string dump_json(const Json& json);
/// As Python's json.dumps(value, ensure_ascii=False): ", " and ": " separators, floats as Python's
/// repr prints them.
[[nodiscard]] std::string dump_json_python(const Json& json);
/// As dump_json_python with indent=2 (adapter_config.json, config.json); `sort_keys` as
/// json.dumps's.
[[nodiscard]] std::string dump_json_pretty(const Json& json, bool sort_keys = false);

}  // namespace weft
