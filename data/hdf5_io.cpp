#include "data/hdf5_io.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace weft::data {

namespace {

constexpr hsize_t kChunk = 64 * 1024;
constexpr std::size_t kImageGrowth = std::size_t{4} << 20;
constexpr std::size_t kMaxAttributeBytes = 1024;

Hdf5Handle scalar_attribute(const Hdf5Handle& file, const char* name, const fs::path& path) {
  if (!has_attribute(file, name)) {
    fail_data("{}: attribute '{}' is missing: this is not a token shard, or not a whole one",
              path.string(), name);
  }
  Hdf5Handle attribute = hdf5_handle(H5Aopen(file.id(), name, H5P_DEFAULT), H5Aclose, path,
                                     "cannot open an attribute");
  const Hdf5Handle space =
      hdf5_handle(H5Aget_space(attribute.id()), H5Sclose, path, "cannot read an attribute");
  if (H5Sget_simple_extent_type(space.id()) != H5S_SCALAR) {
    fail_data("{}: attribute '{}' holds an array, expected one value", path.string(), name);
  }
  return attribute;
}

void create_attribute(const Hdf5Handle& file, const char* name, hid_t stored, hid_t memory,
                      const void* value, const fs::path& path) {
  const Hdf5Handle space =
      hdf5_handle(H5Screate(H5S_SCALAR), H5Sclose, path, "cannot make an attribute");
  const Hdf5Handle attribute =
      hdf5_handle(H5Acreate2(file.id(), name, stored, space.id(), H5P_DEFAULT, H5P_DEFAULT),
                  H5Aclose, path, "cannot make an attribute");
  check_hdf5(H5Awrite(attribute.id(), memory, value), path, "cannot write an attribute");
}

}  // namespace

Hdf5Handle open_hdf5_file(const fs::path& path) {
  const Hdf5Lock lock;
  const Hdf5Handle access =
      hdf5_handle(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, path, "cannot open the file");
  // The plain file driver, whatever the environment says. Shards are renamed into place and never
  // change, so there is nothing to lock, and network file systems often cannot.
  check_hdf5(H5Pset_fapl_sec2(access.id()), path, "cannot open the file");
  check_hdf5(H5Pset_file_locking(access.id(), 0, 1), path, "cannot open the file");
  return hdf5_handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose, path,
                     "cannot be opened as an HDF5 file: it is missing, cut short or damaged");
}

Hdf5Handle create_hdf5_image(const fs::path& path) {
  const Hdf5Lock lock;
  const Hdf5Handle access =
      hdf5_handle(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, path, "cannot build the file");
  check_hdf5(H5Pset_fapl_core(access.id(), kImageGrowth, 0), path, "cannot build the file");
  return hdf5_handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.id()), H5Fclose,
                     path, "cannot build the file in memory");
}

std::vector<std::byte> hdf5_image(const Hdf5Handle& file, const fs::path& path) {
  const Hdf5Lock lock;
  check_hdf5(H5Fflush(file.id(), H5F_SCOPE_GLOBAL), path, "cannot build the file in memory");
  const ssize_t size = H5Fget_file_image(file.id(), nullptr, 0);
  if (size < 0) {
    fail_hdf5(path, "cannot take the file from memory");
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  if (H5Fget_file_image(file.id(), bytes.data(), bytes.size()) != size) {
    fail_hdf5(path, "cannot take the file from memory");
  }
  return bytes;
}

void write_attribute(const Hdf5Handle& file, const char* name, std::int64_t value,
                     const fs::path& path) {
  const Hdf5Lock lock;
  create_attribute(file, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value, path);
}

void write_attribute(const Hdf5Handle& file, const char* name, const std::string& value,
                     const fs::path& path) {
  const Hdf5Lock lock;
  const Hdf5Handle type =
      hdf5_handle(H5Tcopy(H5T_C_S1), H5Tclose, path, "cannot make an attribute");
  check_hdf5(H5Tset_size(type.id(), std::max<std::size_t>(value.size(), 1)), path,
             "cannot make an attribute");
  check_hdf5(H5Tset_strpad(type.id(), H5T_STR_NULLPAD), path, "cannot make an attribute");
  create_attribute(file, name, type.id(), type.id(), value.c_str(), path);
}

bool has_hdf5_object(const Hdf5Handle& file, const char* name) {
  const Hdf5Lock lock;
  return H5Lexists(file.id(), name, H5P_DEFAULT) > 0;
}

bool has_attribute(const Hdf5Handle& file, const char* name) {
  const Hdf5Lock lock;
  return H5Aexists(file.id(), name) > 0;
}

std::int64_t read_int_attribute(const Hdf5Handle& file, const char* name, const fs::path& path) {
  const Hdf5Lock lock;
  const Hdf5Handle attribute = scalar_attribute(file, name, path);
  const Hdf5Handle type =
      hdf5_handle(H5Aget_type(attribute.id()), H5Tclose, path, "cannot read an attribute");
  if (!detail::is_plain_integer(type)) {
    fail_data("{}: attribute '{}' is not an integer", path.string(), name);
  }
  std::int64_t value = 0;
  check_hdf5(H5Aread(attribute.id(), H5T_NATIVE_INT64, &value), path, "cannot read an attribute");
  return value;
}

std::string read_string_attribute(const Hdf5Handle& file, const char* name, const fs::path& path) {
  const Hdf5Lock lock;
  const Hdf5Handle attribute = scalar_attribute(file, name, path);
  const Hdf5Handle type =
      hdf5_handle(H5Aget_type(attribute.id()), H5Tclose, path, "cannot read an attribute");
  if (H5Tget_class(type.id()) != H5T_STRING || H5Tis_variable_str(type.id()) != 0) {
    fail_data("{}: attribute '{}' is not a string of fixed length", path.string(), name);
  }
  const std::size_t size = H5Tget_size(type.id());
  if (size == 0 || size > kMaxAttributeBytes) {
    fail_data("{}: attribute '{}' is {} bytes long, expected 1 to {}", path.string(), name, size,
              kMaxAttributeBytes);
  }
  std::string value(size, '\0');
  check_hdf5(H5Aread(attribute.id(), type.id(), value.data()), path, "cannot read an attribute");
  value.resize(std::min(value.find('\0'), size));
  return value;
}

namespace detail {

bool is_plain_integer(const Hdf5Handle& type) {
  const std::size_t bytes = H5Tget_size(type.id());
  return H5Tget_class(type.id()) == H5T_INTEGER &&
         (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8) &&
         H5Tget_precision(type.id()) == 8 * bytes && H5Tget_offset(type.id()) == 0;
}

void write_vector(const Hdf5Handle& file, const char* name, const void* values, std::size_t size,
                  hid_t stored, hid_t memory, bool compress, const fs::path& path) {
  constexpr std::string_view kWhat = "cannot write a dataset";
  const std::array<hsize_t, 1> extent{size};
  const std::array<hsize_t, 1> chunk{std::min<hsize_t>(kChunk, size)};
  const Hdf5Handle space =
      hdf5_handle(H5Screate_simple(1, extent.data(), nullptr), H5Sclose, path, kWhat);
  const Hdf5Handle creation = hdf5_handle(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, path, kWhat);
  check_hdf5(H5Pset_chunk(creation.id(), 1, chunk.data()), path, kWhat);
  // No time stamps: equal inputs give equal bytes.
  check_hdf5(H5Pset_obj_track_times(creation.id(), 0), path, kWhat);
  if (compress) {
    check_hdf5(H5Pset_shuffle(creation.id()), path, kWhat);
    check_hdf5(H5Pset_deflate(creation.id(), 1), path, kWhat);
  }
  const Hdf5Handle dataset = hdf5_handle(
      H5Dcreate2(file.id(), name, stored, space.id(), H5P_DEFAULT, creation.id(), H5P_DEFAULT),
      H5Dclose, path, kWhat);
  check_hdf5(H5Dwrite(dataset.id(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), path, kWhat);
}

void read_vector(const Hdf5Vector& vector, std::int64_t offset, std::int64_t count, hid_t memory,
                 void* out, const fs::path& path) {
  if (count == 0) {
    return;
  }
  if (offset < 0 || count < 0 || offset > vector.size - count) {
    fail_internal("{}: values {} to {} of '{}', which has {}", path.string(), offset,
                  offset + count, vector.name, vector.size);
  }
  constexpr std::string_view kWhat = "cannot read the data: the file is damaged or cut short";
  const std::array<hsize_t, 1> start{static_cast<hsize_t>(offset)};
  const std::array<hsize_t, 1> length{static_cast<hsize_t>(count)};
  const Hdf5Handle file_space =
      hdf5_handle(H5Dget_space(vector.dataset.id()), H5Sclose, path, kWhat);
  check_hdf5(H5Sselect_hyperslab(file_space.id(), H5S_SELECT_SET, start.data(), nullptr,
                                 length.data(), nullptr),
             path, kWhat);
  const Hdf5Handle memory_space =
      hdf5_handle(H5Screate_simple(1, length.data(), nullptr), H5Sclose, path, kWhat);
  check_hdf5(
      H5Dread(vector.dataset.id(), memory, memory_space.id(), file_space.id(), H5P_DEFAULT, out),
      path, kWhat);
}

}  // namespace detail

}  // namespace weft::data
