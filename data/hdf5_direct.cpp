#include "data/hdf5_direct.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <system_error>

#include "base/error.h"

namespace weft::data {

namespace {

static_assert(std::endian::native == std::endian::little, "shards hold little-endian values");

/// Eight bytes each are kept; more chunks than this only a file made to hurt has.
constexpr std::int64_t kMaxChunks = std::int64_t{1} << 20;

int descriptor_of(const Hdf5Handle& file, const fs::path& path) {
  void* pointer = nullptr;
  check_hdf5(H5Fget_vfd_handle(file.id(), H5P_DEFAULT, &pointer), path, "is not an open file");
  return *static_cast<int*>(pointer);
}

hsize_t user_block(const Hdf5Handle& file, const fs::path& path) {
  const Hdf5Handle creation =
      hdf5_handle(H5Fget_create_plist(file.id()), H5Pclose, path, "cannot read the file's layout");
  hsize_t size = 0;
  check_hdf5(H5Pget_userblock(creation.id(), &size), path, "cannot read the file's layout");
  return size;
}

void read_fully(int descriptor, char* out, std::size_t bytes, std::uint64_t address,
                const fs::path& path) {
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor, out, bytes, static_cast<off_t>(address));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      fail_data("{}: cannot read the data: {}", path.string(),
                got == 0 ? "the file was cut short while it was in use"
                         : std::generic_category().message(errno));
    }
    out += got;
    bytes -= static_cast<std::size_t>(got);
    address += static_cast<std::uint64_t>(got);
  }
}

}  // namespace

Hdf5Direct Hdf5Direct::map(const Hdf5Handle& file, const Hdf5Vector& vector,
                           std::size_t value_bytes, const fs::path& path) {
  const Hdf5Lock lock;
  Hdf5Direct direct;
  if (vector.filtered || vector.size == 0 || user_block(file, path) != 0) {
    return direct;
  }
  direct.value_bytes_ = static_cast<std::int64_t>(value_bytes);
  direct.chunk_values_ = vector.chunk > 0 ? vector.chunk : vector.size;
  if (vector.chunk == 0) {
    direct.addresses_.push_back(H5Dget_offset(vector.dataset.id()));
  } else if ((vector.size - 1) / vector.chunk < kMaxChunks) {
    direct.map_chunks(vector, path);
  } else {
    return direct;
  }
  hsize_t file_bytes = 0;
  check_hdf5(H5Fget_filesize(file.id(), &file_bytes), path, "cannot read the file's size");
  for (std::size_t i = 0; i < direct.addresses_.size(); ++i) {
    const std::int64_t first = static_cast<std::int64_t>(i) * direct.chunk_values_;
    const std::int64_t values = std::min(direct.chunk_values_, vector.size - first);
    direct.check_inside(direct.addresses_[i], static_cast<std::uint64_t>(values) * value_bytes,
                        file_bytes, path);
  }
  direct.descriptor_ = descriptor_of(file, path);
  return direct;
}

void Hdf5Direct::map_chunks(const Hdf5Vector& vector, const fs::path& path) {
  for (std::int64_t first = 0; first < vector.size; first += vector.chunk) {
    const std::array<hsize_t, 1> coordinate{static_cast<hsize_t>(first)};
    unsigned filter_mask = 0;
    haddr_t address = HADDR_UNDEF;
    hsize_t bytes = 0;
    check_hdf5(H5Dget_chunk_info_by_coord(vector.dataset.id(), coordinate.data(), &filter_mask,
                                          &address, &bytes),
               path, "cannot read where the data lies");
    addresses_.push_back(address);
  }
}

void Hdf5Direct::check_inside(std::uint64_t address, std::uint64_t bytes, std::uint64_t file_bytes,
                              const fs::path& path) const {
  if (address == HADDR_UNDEF || address > file_bytes || bytes > file_bytes - address) {
    fail_data("{}: part of the data is missing or lies outside the file's {} bytes: it is damaged",
              path.string(), file_bytes);
  }
}

void Hdf5Direct::read(std::int64_t offset, std::int64_t count, void* out,
                      const fs::path& path) const {
  auto* to = static_cast<char*>(out);
  while (count > 0) {
    const std::int64_t within = offset % chunk_values_;
    std::int64_t values = std::min(count, chunk_values_ - within);
    auto run = static_cast<std::size_t>(offset / chunk_values_);
    const std::uint64_t address =
        addresses_[run] + static_cast<std::uint64_t>(within * value_bytes_);
    // Chunks that follow one another in the file are read at once.
    const auto chunk_bytes = static_cast<std::uint64_t>(chunk_values_ * value_bytes_);
    while (values < count && addresses_[run + 1] == addresses_[run] + chunk_bytes) {
      values = std::min(count, values + chunk_values_);
      ++run;
    }
    read_fully(descriptor_, to, static_cast<std::size_t>(values * value_bytes_), address, path);
    to += values * value_bytes_;
    offset += values;
    count -= values;
  }
}

}  // namespace weft::data
