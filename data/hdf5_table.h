#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/hdf5_handle.h"

/// Datasets of integers with up to three dimensions, as other tools store samples: read and written
/// in rows of the first dimension. All functions take the lock themselves; `path` is for messages.
namespace weft::data {

/// A dataset open for reading.
struct Hdf5Table {
  Hdf5Handle dataset;
  std::string name;
  std::vector<std::int64_t> extent;  ///< one to three sizes; the first counts rows
  std::int64_t row_values = 1;       ///< values of a row: the product of the other sizes
  std::int64_t chunk_rows = 0;       ///< rows that are decoded together; 0: stored in one piece
};

/// Opens dataset `name` of the root group, of any integer type. Refused with a data Error: what
/// open_hdf5_vector refuses, four dimensions and more, and rows of more than 4 Mi values.
[[nodiscard]] Hdf5Table open_hdf5_table(const Hdf5Handle& file, const char* name,
                                        const fs::path& path);

/// Fills `out` (count x row_values) with the rows from `row` on, which must be there.
void read_hdf5_rows(const Hdf5Table& table, std::int64_t row, std::int64_t count,
                    std::span<std::int64_t> out, const fs::path& path);

/// Writes `values` as an int32 dataset of (values.size() / (features * length), features, length),
/// a row a chunk, with gzip level 4. There must be a row at least.
void write_hdf5_table(const Hdf5Handle& file, const char* name,
                      std::span<const std::int32_t> values, std::int64_t features,
                      std::int64_t length, const fs::path& path);

}  // namespace weft::data
