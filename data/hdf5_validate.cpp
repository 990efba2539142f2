// What a dataset must look like before a byte of it is read. A file may come from anywhere, and
// HDF5 1.10 has known defects in its rarely used features, so everything that ids and masks do not
// need is refused.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/hdf5_io.h"
#include "data/hdf5_table.h"

namespace weft::data {

namespace {

constexpr hsize_t kMaxChunk = hsize_t{4} << 20;
/// The most that deflate can shrink anything.
constexpr hsize_t kMaxDeflateRatio = 1032;

void check_link(const Hdf5Handle& file, const char* name, const fs::path& path) {
  if (H5Lexists(file.id(), name, H5P_DEFAULT) <= 0) {
    fail_data("{}: dataset '{}' is missing: the file holds something else", path.string(), name);
  }
  H5L_info_t link;
  check_hdf5(H5Lget_info(file.id(), name, &link, H5P_DEFAULT), path, "cannot read a link");
  if (link.type != H5L_TYPE_HARD) {
    fail_data("{}: '{}' is {} link; a file must hold its data itself", path.string(), name,
              link.type == H5L_TYPE_EXTERNAL ? "an external" : "a soft or user-defined");
  }
}

Hdf5Handle open_dataset(const Hdf5Handle& file, const char* name, const fs::path& path) {
  check_link(file, name, path);
  return hdf5_handle(H5Dopen2(file.id(), name, H5P_DEFAULT), H5Dclose, path,
                     "cannot open a dataset");
}

/// The sizes of a dataset of `least` to `most` dimensions.
std::vector<hsize_t> checked_extent(const Hdf5Handle& dataset, const char* name, int least,
                                    int most, const fs::path& path) {
  const Hdf5Handle space =
      hdf5_handle(H5Dget_space(dataset.id()), H5Sclose, path, "cannot read a dataset");
  const int rank = H5Sget_simple_extent_ndims(space.id());
  if (rank < least || rank > most) {
    fail_data("{}: dataset '{}' has rank {}, expected {}", path.string(), name, rank,
              least == most ? fmt::format("{}", least) : fmt::format("{} to {}", least, most));
  }
  std::vector<hsize_t> extent(static_cast<std::size_t>(rank));
  if (H5Sget_simple_extent_dims(space.id(), extent.data(), nullptr) != rank) {
    fail_hdf5(path, "cannot read a dataset's extent");
  }
  return extent;
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

struct Storage {
  std::vector<hsize_t> chunk;  ///< empty: in one piece
  bool filtered = false;
};

/// The product, or `limit` + 1 where it is more than `limit`.
hsize_t limited_product(std::span<const hsize_t> factors, hsize_t limit) {
  hsize_t product = 1;
  for (const hsize_t factor : factors) {
    if (factor != 0 && product > limit / factor) {
      return limit + 1;
    }
    product *= factor;
  }
  return product;
}

/// A few bytes can claim any extent; memory is only asked for when the stored bytes can hold it.
void check_capacity(const Hdf5Handle& dataset, const std::string& name,
                    std::span<const hsize_t> extent, std::size_t value_bytes, bool compressed,
                    const fs::path& path) {
  const hsize_t bytes = H5Dget_storage_size(dataset.id());
  hsize_t file_bytes = 0;
  const Hdf5Handle file = hdf5_handle(H5Iget_file_id(dataset.id()), H5Fclose, path, "is not open");
  check_hdf5(H5Fget_filesize(file.id(), &file_bytes), path, "cannot read the file's size");
  if (bytes > file_bytes) {
    fail_data("{}: dataset '{}' claims {} stored bytes, but the file has only {}", path.string(),
              name, bytes, file_bytes);
  }
  const hsize_t capacity = bytes * (compressed ? kMaxDeflateRatio : 1) / value_bytes;
  if (limited_product(extent, capacity) > capacity) {
    fail_data("{}: dataset '{}' claims {} values, but its {} stored bytes cannot hold them",
              path.string(), name, fmt::join(extent, " x "), bytes);
  }
}

Storage checked_storage(const Hdf5Handle& dataset, const std::string& name,
                        std::span<const hsize_t> extent, std::size_t value_bytes,
                        const fs::path& path) {
  const Hdf5Handle creation = hdf5_handle(H5Dget_create_plist(dataset.id()), H5Pclose, path,
                                          "cannot read a dataset's layout");
  const H5D_layout_t layout = H5Pget_layout(creation.id());
  if ((layout != H5D_CHUNKED && layout != H5D_CONTIGUOUS) ||
      H5Pget_external_count(creation.id()) != 0) {
    fail_data("{}: dataset '{}' is not stored as chunks of this file", path.string(), name);
  }
  Storage storage;
  if (layout == H5D_CHUNKED) {
    const auto rank = static_cast<int>(extent.size());
    storage.chunk.resize(extent.size());
    if (H5Pget_chunk(creation.id(), rank, storage.chunk.data()) != rank) {
      fail_hdf5(path, "cannot read a dataset's chunk size");
    }
    if (limited_product(storage.chunk, kMaxChunk) > kMaxChunk) {
      fail_data("{}: dataset '{}' has chunks of {} values, at most {} are read", path.string(),
                name, fmt::join(storage.chunk, " x "), kMaxChunk);
    }
  }
  const bool compressed = check_filters(creation, name.c_str(), path);
  storage.filtered = H5Pget_nfilters(creation.id()) != 0;
  check_capacity(dataset, name, extent, value_bytes, compressed, path);
  return storage;
}

/// Bytes of a value of an integer dataset.
std::size_t integer_bytes(const Hdf5Handle& dataset, const char* name, const fs::path& path) {
  const Hdf5Handle type =
      hdf5_handle(H5Dget_type(dataset.id()), H5Tclose, path, "cannot read a dataset's type");
  if (!detail::is_plain_integer(type)) {
    fail_data("{}: dataset '{}' does not hold integers of 1, 2, 4 or 8 bytes", path.string(), name);
  }
  return H5Tget_size(type.id());
}

}  // namespace

namespace detail {

Hdf5Vector open_vector(const Hdf5Handle& file, const char* name, hid_t stored,
                       std::string_view type_name, const fs::path& path) {
  Hdf5Vector vector;
  vector.name = name;
  vector.dataset = open_dataset(file, name, path);
  const std::vector<hsize_t> extent = checked_extent(vector.dataset, name, 1, 1, path);
  check_type(vector.dataset, name, stored, type_name, path);
  const Storage storage =
      checked_storage(vector.dataset, vector.name, extent, H5Tget_size(stored), path);
  vector.chunk = storage.chunk.empty() ? 0 : static_cast<std::int64_t>(storage.chunk[0]);
  vector.filtered = storage.filtered;
  vector.size = static_cast<std::int64_t>(extent[0]);
  return vector;
}

}  // namespace detail

Hdf5Table open_hdf5_table(const Hdf5Handle& file, const char* name, const fs::path& path) {
  const Hdf5Lock lock;
  Hdf5Table table;
  table.name = name;
  table.dataset = open_dataset(file, name, path);
  const std::vector<hsize_t> extent = checked_extent(table.dataset, name, 1, 3, path);
  const std::size_t value_bytes = integer_bytes(table.dataset, name, path);
  const Storage storage = checked_storage(table.dataset, table.name, extent, value_bytes, path);
  for (const hsize_t size : extent) {
    table.extent.push_back(static_cast<std::int64_t>(size));
  }
  const hsize_t row = limited_product(std::span(extent).subspan(1), kMaxChunk);
  if (row > kMaxChunk) {
    fail_data("{}: dataset '{}' has rows of {} values, at most {} are read", path.string(), name,
              fmt::join(std::span(extent).subspan(1), " x "), kMaxChunk);
  }
  table.row_values = static_cast<std::int64_t>(row);
  table.chunk_rows = storage.chunk.empty() ? 0 : static_cast<std::int64_t>(storage.chunk[0]);
  return table;
}

}  // namespace weft::data
