#pragma once

#include <optional>
#include <string>

#include "base/file_system.h"

namespace weft::trainer {

/// Choices that were made by measuring, kept on a machine so that the next run makes the same ones
/// without measuring: one JSON object of strings in a file. What can't be read counts as empty, and
/// a choice that can't be written is made again; neither is an error.
class RememberedChoices {
 public:
  /// Nothing is kept in an empty path.
  RememberedChoices(FileSystem& files, fs::path file) : files_(files), file_(std::move(file)) {}

  /// $XDG_CACHE_HOME/weft/choices.json, else ~/.cache/weft/choices.json; empty where neither
  /// variable is an absolute path.
  [[nodiscard]] static fs::path default_file();

  [[nodiscard]] std::optional<std::string> find(const std::string& key) const;
  void remember(const std::string& key, const std::string& choice);

 private:
  FileSystem& files_;
  fs::path file_;
};

}  // namespace weft::trainer
