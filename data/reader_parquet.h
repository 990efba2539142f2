#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "data/reader.h"

namespace weft::data {

/// Rows of a Parquet file, each as a JSON object by column name, numbered from 1. Lists, structs
/// and maps become arrays and objects; members of a struct that are null are left out, because
/// Arrow gives every struct of a column all members that any has; times and decimals become
/// strings. Read batch by batch, so that memory is bounded by a page of each column. Data Errors
/// name the file and what Arrow's library says about it; one also where weft was built without it.
[[nodiscard]] std::unique_ptr<RowReader> open_parquet_rows(FileSystem& files, const fs::path& path,
                                                           std::uint64_t max_row_bytes);

/// "" where Parquet files can be read, else why not and what to do.
[[nodiscard]] std::string parquet_problem();

}  // namespace weft::data
