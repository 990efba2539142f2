#pragma once

#include <cstdint>

#include "data/reader.h"

/// What weft and the module that reads Parquet agree on.
namespace weft::data {

inline constexpr const char* kParquetModule = "libweft_parquet.so";
inline constexpr const char* kParquetSymbol = "weft_open_parquet_rows";

/// As open_parquet_rows; the caller owns the result.
using OpenParquetRows = RowReader* (*)(FileSystem& files, const fs::path& path,
                                       std::uint64_t max_row_bytes);

}  // namespace weft::data
