#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"

namespace weft {

/// A YAML value with the line it stands on (1-based; 0 when it came from a command line). Scalars
/// keep their text; whether a number or truth value is meant is decided by who reads it: a quoted
/// scalar is always a string.
struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  std::string text;
  bool quoted = false;
  int line = 0;
  std::vector<YamlNode> items;
  std::vector<std::pair<std::string, YamlNode>> members;  ///< in file order; keys are unique

  // Not here, where a pair with a YamlNode in it is not complete yet.
  YamlNode();
  ~YamlNode();
  YamlNode(const YamlNode&);
  YamlNode(YamlNode&&) noexcept;
  YamlNode& operator=(const YamlNode&);
  YamlNode& operator=(YamlNode&&) noexcept;

  [[nodiscard]] const YamlNode* find(std::string_view key) const;
};

/// Parses one YAML document strictly: duplicate keys, aliases and anchors, tags, several documents,
/// keys that are not plain strings, nesting over 32 levels and more than 100,000 nodes are config
/// Errors with `name` and the line.
[[nodiscard]] YamlNode parse_yaml(std::string_view text, std::string_view name);
[[nodiscard]] YamlNode read_yaml(FileSystem& files, const fs::path& path);

}  // namespace weft
