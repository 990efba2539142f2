#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/yaml.h"

namespace weft {

/// What a Schema::Range holds for "no bound".
inline constexpr double kUnbounded = std::numeric_limits<double>::infinity();

/// The plain (not quoted) scalar as an integer in decimal digits that fits in 64 bits, or nothing.
[[nodiscard]] std::optional<std::int64_t> yaml_int(const YamlNode& node);
/// The plain scalar as a finite number ("3", "1e-4", ".5"), or nothing.
[[nodiscard]] std::optional<double> yaml_number(const YamlNode& node);
/// true or false from the plain scalars true, True, TRUE, false, False, FALSE, or nothing.
[[nodiscard]] std::optional<bool> yaml_bool(const YamlNode& node);

/// `text` as a YAML scalar on one line that is read back as that string, quoted only where it must
/// be.
[[nodiscard]] std::string yaml_text(std::string_view text);
/// A double as YAML that reads back equal; with a point, which some YAML readers need to see a
/// number.
[[nodiscard]] std::string yaml_number_text(double value);

/// What stands there, for messages: `"abc"`, `the quoted string "3"`, "a list", "a map", "nothing".
[[nodiscard]] std::string describe_yaml(const YamlNode& node);

}  // namespace weft
