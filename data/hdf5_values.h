#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "data/hdf5_direct.h"
#include "data/hdf5_io.h"

namespace weft::data {

/// A dataset open for reading by the quickest way that it allows. Safe for use from several
/// threads.
template <typename T>
class Hdf5Values {
 public:
  Hdf5Values() = default;
  /// Errors as for open_hdf5_vector. `file` must outlive this.
  Hdf5Values(const Hdf5Handle& file, const char* name, const fs::path& path)
      : vector_(open_hdf5_vector<T>(file, name, path)),
        direct_(Hdf5Direct::map(file, vector_, sizeof(T), path)) {}

  [[nodiscard]] const Hdf5Vector& vector() const { return vector_; }

  /// Fills `out` from `offset`; the range must lie inside the dataset.
  void read(std::int64_t offset, std::span<T> out, const fs::path& path) const {
    if (direct_.usable()) {
      direct_.read(offset, std::ssize(out), out.data(), path);
    } else {
      read_hdf5_slice(vector_, offset, out, path);
    }
  }

 private:
  Hdf5Vector vector_;
  Hdf5Direct direct_;
};

/// Reads ranges of a dataset. Where it is filtered a chunk is decoded whole and kept until another
/// is needed: ranges in ascending order decode each chunk once.
template <typename T>
class AscendingReader {
 public:
  /// Both must outlive the reader.
  AscendingReader(const Hdf5Values<T>& values, const fs::path& path)
      : values_(values), path_(path) {}

  void read(std::int64_t offset, std::span<T> out) {
    if (!values_.vector().filtered) {
      values_.read(offset, out, path_);
      return;
    }
    while (!out.empty()) {
      load_chunk_of(offset);
      const auto within = static_cast<std::size_t>(offset - begin_);
      const std::size_t some = std::min(out.size(), chunk_.size() - within);
      std::copy_n(chunk_.begin() + static_cast<std::ptrdiff_t>(within), some, out.begin());
      out = out.subspan(some);
      offset += static_cast<std::int64_t>(some);
    }
  }

 private:
  void load_chunk_of(std::int64_t offset) {
    const std::int64_t size = values_.vector().chunk;
    const std::int64_t begin = offset - offset % size;
    if (chunk_.empty() || begin != begin_) {
      chunk_.resize(static_cast<std::size_t>(std::min(size, values_.vector().size - begin)));
      begin_ = begin;
      values_.read(begin, std::span<T>(chunk_), path_);
    }
  }

  const Hdf5Values<T>& values_;
  const fs::path& path_;
  std::vector<T> chunk_;
  std::int64_t begin_ = 0;
};

}  // namespace weft::data
