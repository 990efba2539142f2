// What a dataset must look like before a byte of it is read. A shard may come from anywhere, and
// HDF5 1.10 has known defects in its rarely used features, so everything that a token shard does
// not need is refused.
#include <algorithm>
#include <array>

#include "base/error.h"
#include "data/hdf5_io.h"

namespace weft::data {

namespace {

constexpr hsize_t kMaxChunk = hsize_t{4} << 20;
/// The most that deflate can shrink anything.
constexpr hsize_t kMaxDeflateRatio = 1032;

void check_link(const Hdf5Handle& file, const char* name, const fs::path& path) {
  if (H5Lexists(file.id(), name, H5P_DEFAULT) <= 0) {
    fail_data("{}: dataset '{}' is missing: this is not a token shard", path.string(), name);
  }
  H5L_info_t link;
  check_hdf5(H5Lget_info(file.id(), name, &link, H5P_DEFAULT), path, "cannot read a link");
  if (link.type != H5L_TYPE_HARD) {
    fail_data("{}: '{}' is {} link; a token shard holds its data itself", path.string(), name,
              link.type == H5L_TYPE_EXTERNAL ? "an external" : "a soft or user-defined");
  }
}

hsize_t checked_extent(const Hdf5Handle& dataset, const char* name, const fs::path& path) {
  const Hdf5Handle space =
      hdf5_handle(H5Dget_space(dataset.id()), H5Sclose, path, "cannot read a dataset");
  const int rank = H5Sget_simple_extent_ndims(space.id());
  if (rank != 1) {
    fail_data("{}: dataset '{}' has rank {}, expected 1", path.string(), name, rank);
  }
  std::array<hsize_t, 1> extent{};
  if (H5Sget_simple_extent_dims(space.id(), extent.data(), nullptr) != 1) {
    fail_hdf5(path, "cannot read a dataset's extent");
  }
  return extent[0];
}

void check_type(const Hdf5Handle& dataset, const char* name, hid_t stored,
                std::string_view type_name, const fs::path& path) {
  const Hdf5Handle type =
      hdf5_handle(H5Dget_type(dataset.id()), H5Tclose, path, "cannot read a dataset's type");
  if (H5Tequal(type.id(), stored) <= 0) {
    fail_data("{}: dataset '{}' is not of type {} (little-endian)", path.string(), name, type_name);
  }
}

/// Whether gzip is among the filters; other filters than it and shuffle are refused.
bool check_filters(const Hdf5Handle& creation, const char* name, const fs::path& path) {
  bool compressed = false;
  const int count = H5Pget_nfilters(creation.id());
  for (int i = 0; i < count; ++i) {
    unsigned flags = 0;
    unsigned config = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter = H5Pget_filter2(creation.id(), static_cast<unsigned>(i), &flags,
                                               &values, nullptr, 0, nullptr, &config);
    if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE) {
      fail_data("{}: dataset '{}' uses filter {}; only shuffle ({}) and gzip ({}) are read",
                path.string(), name, filter, H5Z_FILTER_SHUFFLE, H5Z_FILTER_DEFLATE);
    }
    compressed |= filter == H5Z_FILTER_DEFLATE;
  }
  return compressed;
}

/// Also notes in `vector` how the values are stored.
void check_storage(Hdf5Vector& vector, hsize_t extent, hid_t stored, const fs::path& path) {
  const Hdf5Handle& dataset = vector.dataset;
  const std::string& name = vector.name;
  const Hdf5Handle creation = hdf5_handle(H5Dget_create_plist(dataset.id()), H5Pclose, path,
                                          "cannot read a dataset's layout");
  const H5D_layout_t layout = H5Pget_layout(creation.id());
  if ((layout != H5D_CHUNKED && layout != H5D_CONTIGUOUS) ||
      H5Pget_external_count(creation.id()) != 0) {
    fail_data("{}: dataset '{}' is not stored as chunks of this file", path.string(), name);
  }
  std::array<hsize_t, 1> chunk{1};
  if (layout == H5D_CHUNKED && H5Pget_chunk(creation.id(), 1, chunk.data()) != 1) {
    fail_hdf5(path, "cannot read a dataset's chunk size");
  }
  if (chunk[0] > kMaxChunk) {
    fail_data("{}: dataset '{}' has chunks of {} values, at most {} are read", path.string(), name,
              chunk[0], kMaxChunk);
  }
  const bool compressed = check_filters(creation, name.c_str(), path);
  vector.chunk = layout == H5D_CHUNKED ? static_cast<std::int64_t>(chunk[0]) : 0;
  vector.filtered = H5Pget_nfilters(creation.id()) != 0;
  // A few bytes can claim any extent; memory is only asked for when the stored bytes can hold it.
  const hsize_t bytes = H5Dget_storage_size(dataset.id());
  hsize_t file_bytes = 0;
  const Hdf5Handle file = hdf5_handle(H5Iget_file_id(dataset.id()), H5Fclose, path, "is not open");
  check_hdf5(H5Fget_filesize(file.id(), &file_bytes), path, "cannot read the file's size");
  if (bytes > file_bytes) {
    fail_data("{}: dataset '{}' claims {} stored bytes, but the file has only {}", path.string(),
              name, bytes, file_bytes);
  }
  const hsize_t capacity = bytes * (compressed ? kMaxDeflateRatio : 1) / H5Tget_size(stored);
  if (extent > capacity) {
    fail_data("{}: dataset '{}' claims {} values, but its {} stored bytes cannot hold them",
              path.string(), name, extent, bytes);
  }
}

}  // namespace

namespace detail {

Hdf5Vector open_vector(const Hdf5Handle& file, const char* name, hid_t stored,
                       std::string_view type_name, const fs::path& path) {
  check_link(file, name, path);
  Hdf5Vector vector;
  vector.name = name;
  vector.dataset =
      hdf5_handle(H5Dopen2(file.id(), name, H5P_DEFAULT), H5Dclose, path, "cannot open a dataset");
  const hsize_t extent = checked_extent(vector.dataset, name, path);
  check_type(vector.dataset, name, stored, type_name, path);
  check_storage(vector, extent, stored, path);
  vector.size = static_cast<std::int64_t>(extent);
  return vector;
}

}  // namespace detail

}  // namespace weft::data
