#include "data/text_cursor.h"

#include <span>

namespace weft::data {

namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;

}  // namespace

TextCursor::TextCursor(FileSystem& files, const fs::path& path)
    : path_(path), stream_(open_byte_stream(files, path)) {
  // A decompressor may give its first bytes one by one.
  std::string head;
  while (head.size() < 3 && fill()) {
    head += block_;
  }
  block_ = std::move(head);
  position_ = block_.starts_with("\xEF\xBB\xBF") ? 3 : 0;
}

bool TextCursor::fill() {
  block_.resize(kBlock);
  block_.resize(stream_->read(std::as_writable_bytes(std::span(block_))));
  position_ = 0;
  return !block_.empty();
}

int TextCursor::skip_blanks() {
  int byte = peek();
  while (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n') {
    take();
    byte = peek();
  }
  return byte;
}

std::uint64_t TextCursor::bytes_read() const {
  return stream_->bytes_read() - (stream_->compressed() ? 0 : block_.size() - position_);
}

}  // namespace weft::data
