#include "data/hdf5_table.h"

#include <array>

#include "base/error.h"

namespace weft::data {

void read_hdf5_rows(const Hdf5Table& table, std::int64_t row, std::int64_t count,
                    std::span<std::int64_t> out, const fs::path& path) {
  if (count < 0 || row < 0 || row > table.extent[0] - count ||
      std::ssize(out) != count * table.row_values) {
    fail_internal("{}: rows {} to {} of '{}', which has {}, into {} values", path.string(), row,
                  row + count, table.name, table.extent[0], out.size());
  }
  if (out.empty()) {
    return;
  }
  constexpr std::string_view kWhat = "cannot read the data: the file is damaged or cut short";
  const Hdf5Lock lock;
  std::vector<hsize_t> start(table.extent.size(), 0);
  std::vector<hsize_t> size(table.extent.begin(), table.extent.end());
  start[0] = static_cast<hsize_t>(row);
  size[0] = static_cast<hsize_t>(count);
  const Hdf5Handle file_space =
      hdf5_handle(H5Dget_space(table.dataset.id()), H5Sclose, path, kWhat);
  check_hdf5(H5Sselect_hyperslab(file_space.id(), H5S_SELECT_SET, start.data(), nullptr,
                                 size.data(), nullptr),
             path, kWhat);
  const Hdf5Handle memory_space = hdf5_handle(
      H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), H5Sclose, path, kWhat);
  check_hdf5(H5Dread(table.dataset.id(), H5T_NATIVE_INT64, memory_space.id(), file_space.id(),
                     H5P_DEFAULT, out.data()),
             path, kWhat);
}

void write_hdf5_table(const Hdf5Handle& file, const char* name,
                      std::span<const std::int32_t> values, std::int64_t features,
                      std::int64_t length, const fs::path& path) {
  constexpr std::string_view kWhat = "cannot write a dataset";
  constexpr unsigned kLevel = 4;
  const Hdf5Lock lock;
  const auto height = static_cast<hsize_t>(features);
  const auto width = static_cast<hsize_t>(length);
  const std::array<hsize_t, 3> extent{values.size() / (height * width), height, width};
  const std::array<hsize_t, 3> chunk{1, height, width};
  const Hdf5Handle space =
      hdf5_handle(H5Screate_simple(3, extent.data(), nullptr), H5Sclose, path, kWhat);
  const Hdf5Handle creation = hdf5_handle(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, path, kWhat);
  check_hdf5(H5Pset_chunk(creation.id(), 3, chunk.data()), path, kWhat);
  check_hdf5(H5Pset_obj_track_times(creation.id(), 0), path, kWhat);
  check_hdf5(H5Pset_deflate(creation.id(), kLevel), path, kWhat);
  const Hdf5Handle dataset = hdf5_handle(H5Dcreate2(file.id(), name, H5T_STD_I32LE, space.id(),
                                                    H5P_DEFAULT, creation.id(), H5P_DEFAULT),
                                         H5Dclose, path, kWhat);
  check_hdf5(H5Dwrite(dataset.id(), H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
             path, kWhat);
}

}  // namespace weft::data
