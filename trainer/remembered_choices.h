#pragma once

#include <optional>
#include <string>
#include <utility>

#include "base/file_system.h"

namespace weft::trainer {

/// Choices that were made by measuring, kept on a machine so that the next run makes the same ones
/// without measuring: a JSON file for each, in one folder. What can't be read counts as not there,
/// and a choice that can't be written is made again; neither is an error.
class RememberedChoices {
 public:
  /// Nothing is kept in an empty path.
  RememberedChoices(FileSystem& files, fs::path folder)
      : files_(files), folder_(std::move(folder)) {}

  /// $XDG_CACHE_HOME/weft/choices, else ~/.cache/weft/choices; empty where neither variable is an
  /// absolute path.
  [[nodiscard]] static fs::path default_folder();

  [[nodiscard]] std::optional<std::string> find(const std::string& key) const;
  /// Does nothing where there is one already.
  void remember(const std::string& key, const std::string& choice);

 private:
  [[nodiscard]] fs::path file_of(const std::string& key) const;

  FileSystem& files_;
  fs::path folder_;
};

}  // namespace weft::trainer
