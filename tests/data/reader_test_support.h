#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/reader.h"
#include "shard_test_support.h"

namespace weft::data {

/// What tests/oracle/input_fixtures.py wrote.
inline const fs::path kInputFixtures = fs::path(WEFT_SOURCE_DIR) / "tests/fixtures/inputs";

inline RowOptions row_options(FileSyntax syntax, std::uint64_t max_row_bytes = 1 << 20) {
  RowOptions options;
  options.syntax = syntax;
  options.max_row_bytes = max_row_bytes;
  return options;
}

using NumberedRows = std::vector<std::pair<std::int64_t, std::string>>;

/// (line, text) of every row of a file.
inline NumberedRows read_rows(FileSystem& files, const fs::path& path, const RowOptions& options) {
  const auto reader = open_rows(files, path, options);
  NumberedRows found;
  Row row;
  while (reader->next(row)) {
    found.emplace_back(row.line, row.text);
  }
  return found;
}

}  // namespace weft::data
