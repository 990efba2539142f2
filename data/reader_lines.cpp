#include "data/reader_lines.h"

#include <span>

#include "base/error.h"
#include "base/text.h"

namespace weft::data {

namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

LineReader::LineReader(FileSystem& files, const fs::path& path, std::uint64_t max_bytes)
    : path_(path), stream_(open_byte_stream(files, path)), max_bytes_(max_bytes) {}

std::uint64_t LineReader::bytes_read() const {
  return stream_->bytes_read() - (stream_->compressed() ? 0 : block_.size() - position_);
}

bool LineReader::fill() {
  block_.resize(kBlock);
  block_.resize(stream_->read(std::as_writable_bytes(std::span(block_))));
  position_ = 0;
  return !block_.empty();
}

bool LineReader::next(std::string& line) {
  line.clear();
  if (position_ == block_.size() && !fill()) {
    return false;
  }
  ++number_;
  do {
    const std::size_t end = block_.find('\n', position_);
    if (end != std::string::npos) {
      append(line, std::string_view(block_).substr(position_, end - position_));
      position_ = end + 1;
      break;
    }
    append(line, std::string_view(block_).substr(position_));
    position_ = block_.size();
  } while (fill());
  finish_line(line);
  return true;
}

void LineReader::append(std::string& line, std::string_view piece) {
  if (line.size() + piece.size() > max_bytes_) {
    fail_data("{}:{}: the line is longer than {}; split it, or check that the file has line ends",
              path_.string(), number_, human_bytes(max_bytes_));
  }
  line += piece;
}

void LineReader::finish_line(std::string& line) {
  if (!line.empty() && line.back() == '\r') {
    line.pop_back();
  }
  if (number_ == 1 && line.starts_with(kByteOrderMark)) {
    line.erase(0, kByteOrderMark.size());
  }
  if (!is_utf8(line)) {
    fail_data("{}:{}: is not valid UTF-8; convert the file to UTF-8 first", path_.string(),
              number_);
  }
}

}  // namespace weft::data
