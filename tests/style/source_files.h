#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace weft::style {

struct Include {
  int line = 0;
  std::string path;     // between the quotes or angle brackets
  bool angled = false;  // <path>, not "path"
};

/// One C++ file of the project.
struct SourceFile {
  std::filesystem::path path;  // from the project's root, such as data/chat.cpp
  std::string text;
  std::vector<Include> includes;

  bool is_header() const { return path.extension() == ".h"; }

  /// The first folder of the path, or nothing for a file in the root.
  std::string folder() const;

  int lines() const;
};

/// Makes a SourceFile of a text; the tests of the rules use it directly.
SourceFile parse_source(std::filesystem::path path, std::string text);

/// Every .h, .cpp and .cu file under the project's source folders, sorted by path.
std::vector<SourceFile> read_sources(const std::filesystem::path& root);

}  // namespace weft::style
