#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/byte_stream.h"

namespace weft::data {

/// Lines of a file, compressed or not, in constant memory: a block and the longest line that is
/// allowed.
class LineReader {
 public:
  /// A line over `max_bytes` is a data Error.
  LineReader(FileSystem& files, const fs::path& path, std::uint64_t max_bytes);

  /// The next line without its LF or CRLF; false at the end. Checked to be UTF-8; a byte-order mark
  /// at the start of the file is dropped.
  [[nodiscard]] bool next(std::string& line);
  /// The number of the line that next() gave last, from 1.
  [[nodiscard]] std::int64_t number() const { return number_; }
  /// Bytes of the file consumed so far; of a compressed one, those of the block being read.
  [[nodiscard]] std::uint64_t bytes_read() const;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  [[nodiscard]] bool fill();
  void append(std::string& line, std::string_view piece);
  void finish_line(std::string& line);

  fs::path path_;
  std::unique_ptr<ByteStream> stream_;
  std::uint64_t max_bytes_;
  std::string block_;
  std::size_t position_ = 0;  ///< in block_
  std::int64_t number_ = 0;
};

}  // namespace weft::data
