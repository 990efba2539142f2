#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "data/byte_stream.h"

namespace weft::data {

/// The characters of a file, compressed or not, one at a time, in constant memory; a byte-order
/// mark at the start is passed over. Used from one thread.
class TextCursor {
 public:
  static constexpr int kEnd = -1;

  TextCursor(FileSystem& files, const fs::path& path);

  /// The next byte, which stays; kEnd at the end of the file.
  [[nodiscard]] int peek() {
    return position_ != block_.size() || fill() ? static_cast<unsigned char>(block_[position_])
                                                : kEnd;
  }
  /// Takes the next byte; kEnd at the end of the file.
  int take() {
    const int byte = peek();
    if (byte != kEnd) {
      ++position_;
      line_ += byte == '\n' ? 1 : 0;
    }
    return byte;
  }
  /// Takes spaces, tabs and line ends, and returns what follows them as peek() does.
  [[nodiscard]] int skip_blanks();

  /// The line that the next byte stands on, from 1.
  [[nodiscard]] std::int64_t line() const { return line_; }
  [[nodiscard]] std::uint64_t bytes_read() const;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  [[nodiscard]] bool fill();

  fs::path path_;
  std::unique_ptr<ByteStream> stream_;
  std::string block_;
  std::size_t position_ = 0;  ///< in block_
  std::int64_t line_ = 1;
};

}  // namespace weft::data
