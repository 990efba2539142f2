#pragma once

#include <cstdint>
#include <memory>

#include "data/reader.h"

namespace weft::data {

/// Rows of a table with a header (RFC 4180), each as a JSON object of strings by column name, with
/// the line that it begins on. `separator` is "," or a tab. Quoted fields may hold separators, line
/// ends and doubled quotes; lines with nothing on them are left out. Data Errors name the line: a
/// header with an empty or repeated name, a row with more or fewer fields than it, text after a
/// closing quote, a quote that is never closed, a row over the limit, invalid UTF-8.
[[nodiscard]] std::unique_ptr<RowReader> open_csv_rows(FileSystem& files, const fs::path& path,
                                                       char separator, std::uint64_t max_row_bytes);

}  // namespace weft::data
