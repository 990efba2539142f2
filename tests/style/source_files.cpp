#include "source_files.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

namespace weft::style {
namespace {

const std::set<std::string> kSuffixes = {".h", ".cpp", ".cu"};

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<Include> find_includes(const std::string& text) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*(["<])([^">]+)[">])");
  std::vector<Include> includes;
  std::istringstream in(text);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    std::smatch match;
    if (line.find("include") != std::string::npos && std::regex_search(line, match, kInclude)) {
      includes.push_back({number, match[2].str(), match[1].str() == "<"});
    }
  }
  return includes;
}

}  // namespace

std::string SourceFile::folder() const {
  return path.has_parent_path() ? path.begin()->string() : std::string();
}

int SourceFile::lines() const {
  return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

SourceFile parse_source(std::filesystem::path path, std::string text) {
  auto includes = find_includes(text);
  return {std::move(path), std::move(text), std::move(includes)};
}

std::vector<SourceFile> read_sources(const std::filesystem::path& root) {
  std::vector<SourceFile> files;
  for (const char* folder : {"base", "kernels", "data", "model", "adapters", "distributed",
                             "trainer", "cli", "tests", "benchmarks", "cmake"}) {
    if (!std::filesystem::exists(root / folder)) {
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      if (entry.is_regular_file() && kSuffixes.contains(entry.path().extension().string())) {
        const auto relative = entry.path().lexically_relative(root);
        files.push_back(parse_source(relative, read_text(entry.path())));
      }
    }
  }
  std::sort(files.begin(), files.end(),
            [](const auto& one, const auto& other) { return one.path < other.path; });
  return files;
}

}  // namespace weft::style
