#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weft::cli {

/// The command line of `weft inspect`.
struct InspectOptions {
  std::string path;
  std::string model;
  std::vector<std::int64_t> documents;
  std::string source;       ///< a number, or part of a path; "": all
  std::string grep;         ///< only documents whose text holds this
  std::int64_t random = 0;  ///< so many documents, drawn by `seed`
  std::int64_t seed = 42;
  std::int64_t limit = 10;  ///< documents shown at most where a search finds more
  bool tokens = false;
  bool verify = false;
  bool json = false;
  std::string html;

  /// Whether documents are asked for, and not statistics.
  [[nodiscard]] bool wants_documents() const {
    return !documents.empty() || random > 0 || !grep.empty();
  }
};

}  // namespace weft::cli
