#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "data/hdf5_io.h"

namespace weft::data {

/// Where the values of an unfiltered 1-D dataset lie in its file. They are read from there without
/// the library and its lock, by any number of threads at once, at the speed of pread: a request
/// through the library costs thirty times as much as the bytes of a short document.
class Hdf5Direct {
 public:
  /// Reads nothing until map() found a use for it.
  Hdf5Direct() = default;

  /// Finds the places of `vector`, whose values have `value_bytes` each. Not usable() afterwards
  /// where only the library can read: filters, a user block, very many chunks. A data Error when a
  /// chunk is missing or not inside the file. The file must stay open while this is used.
  static Hdf5Direct map(const Hdf5Handle& file, const Hdf5Vector& vector, std::size_t value_bytes,
                        const fs::path& path);

  [[nodiscard]] bool usable() const { return descriptor_ >= 0; }

  /// Fills `out` with `count` values from `offset` on; the range must lie inside the dataset. A
  /// data Error when the file has become shorter or cannot be read.
  void read(std::int64_t offset, std::int64_t count, void* out, const fs::path& path) const;

 private:
  void map_chunks(const Hdf5Vector& vector, const fs::path& path);
  void check_inside(std::uint64_t address, std::uint64_t bytes, std::uint64_t file_bytes,
                    const fs::path& path) const;

  int descriptor_ = -1;  ///< the library's, which never moves by pread
  std::int64_t value_bytes_ = 0;
  std::int64_t chunk_values_ = 0;         ///< of a run of values stored in one piece
  std::vector<std::uint64_t> addresses_;  ///< of each such run
};

}  // namespace weft::data
