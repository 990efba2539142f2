#pragma once

#include <cstdint>
#include <memory>

#include "data/reader.h"

namespace weft::data {

/// Rows of JSON, each one value as text: the elements of an array where the file begins with "[",
/// else one value a line, blank lines left out. Elements are found by their brackets alone, in
/// constant memory; whether they are JSON is for their parser to say.
[[nodiscard]] std::unique_ptr<RowReader> open_json_rows(FileSystem& files, const fs::path& path,
                                                        std::uint64_t max_row_bytes);

}  // namespace weft::data
