#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/hdf5_handle.h"

/// The small part of HDF5 that a token shard needs: scalar attributes and 1-D integer datasets in
/// the root group. All functions take the lock themselves; `path` is only for messages where a
/// handle is given too.
namespace weft::data {

/// Opens for reading; a data Error when it is missing, cut short or not HDF5.
[[nodiscard]] Hdf5Handle open_hdf5_file(const fs::path& path);

/// A new file in memory, for hdf5_image. `path` is the name it will have.
[[nodiscard]] Hdf5Handle create_hdf5_image(const fs::path& path);

/// The bytes of a file made with create_hdf5_image, as they belong on the disk.
[[nodiscard]] std::vector<std::byte> hdf5_image(const Hdf5Handle& file, const fs::path& path);

void write_attribute(const Hdf5Handle& file, const char* name, std::int64_t value,
                     const fs::path& path);
void write_attribute(const Hdf5Handle& file, const char* name, const std::string& value,
                     const fs::path& path);

/// Data Errors when the attribute is missing, not scalar or of another type.
[[nodiscard]] std::int64_t read_int_attribute(const Hdf5Handle& file, const char* name,
                                              const fs::path& path);
[[nodiscard]] std::string read_string_attribute(const Hdf5Handle& file, const char* name,
                                                const fs::path& path);
[[nodiscard]] bool has_attribute(const Hdf5Handle& file, const char* name);
/// Whether the root group has something of that name.
[[nodiscard]] bool has_hdf5_object(const Hdf5Handle& file, const char* name);

/// HDF5's little-endian file type and this machine's memory type for T.
template <typename T>
struct Hdf5Type;
template <>
struct Hdf5Type<std::int32_t> {
  static constexpr std::string_view kName = "int32";
  static hid_t stored() { return H5T_STD_I32LE; }
  static hid_t memory() { return H5T_NATIVE_INT32; }
};
template <>
struct Hdf5Type<std::int64_t> {
  static constexpr std::string_view kName = "int64";
  static hid_t stored() { return H5T_STD_I64LE; }
  static hid_t memory() { return H5T_NATIVE_INT64; }
};
template <>
struct Hdf5Type<std::uint8_t> {
  static constexpr std::string_view kName = "uint8";
  static hid_t stored() { return H5T_STD_U8LE; }
  static hid_t memory() { return H5T_NATIVE_UINT8; }
};
template <>
struct Hdf5Type<std::int8_t> {
  static constexpr std::string_view kName = "int8";
  static hid_t stored() { return H5T_STD_I8LE; }
  static hid_t memory() { return H5T_NATIVE_INT8; }
};
template <>
struct Hdf5Type<std::uint16_t> {
  static constexpr std::string_view kName = "uint16";
  static hid_t stored() { return H5T_STD_U16LE; }
  static hid_t memory() { return H5T_NATIVE_UINT16; }
};

/// A 1-D dataset of a known type, open for reading.
struct Hdf5Vector {
  Hdf5Handle dataset;
  std::string name;
  std::int64_t size = 0;
  std::int64_t chunk = 0;  ///< values of a chunk; 0: stored in one piece
  bool filtered = false;   ///< shuffled or compressed
};

namespace detail {
/// Whether a type is an integer of 1, 2, 4 or 8 bytes, all of whose bits count. HDF5 1.10.8 reads
/// past its buffers when it converts others, and files with such types are damaged files.
[[nodiscard]] bool is_plain_integer(const Hdf5Handle& type);
[[nodiscard]] Hdf5Vector open_vector(const Hdf5Handle& file, const char* name, hid_t stored,
                                     std::string_view type_name, const fs::path& path);
void read_vector(const Hdf5Vector& vector, std::int64_t offset, std::int64_t count, hid_t memory,
                 void* out, const fs::path& path);
void write_vector(const Hdf5Handle& file, const char* name, const void* values, std::size_t size,
                  hid_t stored, hid_t memory, bool compress, const fs::path& path);
}  // namespace detail

/// Opens dataset `name` of the root group. Refused with a data Error: soft and external links,
/// another rank or type, virtual and external storage, filters other than shuffle and gzip, chunks
/// over 4 Mi values, and a size that the stored bytes cannot hold.
template <typename T>
[[nodiscard]] Hdf5Vector open_hdf5_vector(const Hdf5Handle& file, const char* name,
                                          const fs::path& path) {
  const Hdf5Lock lock;
  return detail::open_vector(file, name, Hdf5Type<T>::stored(), Hdf5Type<T>::kName, path);
}

/// Fills `out` from `offset`; the range must lie inside the dataset.
template <typename T>
void read_hdf5_slice(const Hdf5Vector& vector, std::int64_t offset, std::span<T> out,
                     const fs::path& path) {
  const Hdf5Lock lock;
  detail::read_vector(vector, offset, static_cast<std::int64_t>(out.size()), Hdf5Type<T>::memory(),
                      out.data(), path);
}

/// Writes a 1-D dataset in chunks of 64 Ki values; `compress` is shuffle and gzip level 1. `values`
/// must not be empty.
template <typename T>
void write_hdf5_vector(const Hdf5Handle& file, const char* name, std::span<const T> values,
                       bool compress, const fs::path& path) {
  const Hdf5Lock lock;
  detail::write_vector(file, name, values.data(), values.size(), Hdf5Type<T>::stored(),
                       Hdf5Type<T>::memory(), compress, path);
}

}  // namespace weft::data
