#include "data/reader_json.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/reader_lines.h"
#include "data/text_cursor.h"

namespace weft::data {

namespace {

class JsonLines final : public RowReader {
 public:
  explicit JsonLines(LineReader lines) : lines_(std::move(lines)) {}

  bool next(Row& row) override {
    bool found = false;
    do {
      found = lines_.next(row.text);
    } while (found && row.text.find_first_not_of(" \t") == std::string::npos);
    row.line = lines_.number();
    return found;
  }
  [[nodiscard]] std::uint64_t bytes_read() const override { return lines_.bytes_read(); }

 private:
  LineReader lines_;
};

/// The elements of one array.
class JsonArray final : public RowReader {
 public:
  JsonArray(TextCursor text, std::uint64_t max_row_bytes)
      : text_(std::move(text)), max_row_bytes_(max_row_bytes) {
    (void)text_.skip_blanks();
    text_.take();  // "["
  }

  bool next(Row& row) override {
    if (done_) {
      return false;
    }
    if (first_ && text_.skip_blanks() == ']') {
      return end();
    }
    first_ = false;
    read_element(row);
    if (text_.skip_blanks() == ',') {
      text_.take();
    } else if (text_.peek() == ']') {
      (void)end();
    } else if (text_.peek() == TextCursor::kEnd) {
      fail_cut();
    } else {
      fail_data("{}:{}: expected , or ] after an element of the array", text_.path().string(),
                text_.line());
    }
    return true;
  }
  [[nodiscard]] std::uint64_t bytes_read() const override { return text_.bytes_read(); }

 private:
  /// Takes "]" and checks that nothing follows; false, as next() then returns.
  bool end() {
    text_.take();
    if (text_.skip_blanks() != TextCursor::kEnd) {
      fail_data("{}:{}: text after the end of the array", text_.path().string(), text_.line());
    }
    done_ = true;
    return false;
  }

  void read_element(Row& row) {
    row.text.clear();
    const int byte = text_.skip_blanks();
    row.line = text_.line();
    if (byte == ',' || byte == ']') {
      fail_data("{}:{}: an element of the array is missing before {}", text_.path().string(),
                row.line, static_cast<char>(byte));
    }
    int depth = 0;
    for (int next = byte; depth > 0 || !ends_element(next); next = text_.peek()) {
      if (next == TextCursor::kEnd) {
        fail_cut();
      }
      if (next == '"') {
        read_string(row);
        continue;
      }
      if (next == '{' || next == '[') {
        ++depth;
      } else if (next == '}' || next == ']') {
        --depth;
      }
      add(row);
    }
    if (!is_utf8(row.text)) {
      fail_data("{}:{}: the element that begins here is not valid UTF-8; convert the file to UTF-8",
                text_.path().string(), row.line);
    }
  }

  static bool ends_element(int byte) {
    return byte == ',' || byte == ']' || byte == '}' || byte == ' ' || byte == '\t' ||
           byte == '\r' || byte == '\n' || byte == TextCursor::kEnd;
  }

  void read_string(Row& row) {
    add(row);
    while (text_.peek() != '"') {
      if (text_.peek() == '\\') {
        add(row);
      }
      if (text_.peek() == TextCursor::kEnd) {
        fail_cut();
      }
      add(row);
    }
    add(row);
  }

  void add(Row& row) {
    if (row.text.size() >= max_row_bytes_) {
      fail_data("{}:{}: the element that begins here is longer than {}; split it",
                text_.path().string(), row.line, human_bytes(max_row_bytes_));
    }
    row.text += static_cast<char>(text_.take());
  }

  [[noreturn]] void fail_cut() const {
    fail_data("{}:{}: the file ends inside its array: it was cut short; copy it again",
              text_.path().string(), text_.line());
  }

  TextCursor text_;
  std::uint64_t max_row_bytes_;
  bool first_ = true;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<RowReader> open_json_rows(FileSystem& files, const fs::path& path,
                                          std::uint64_t max_row_bytes) {
  TextCursor text(files, path);
  if (text.skip_blanks() == '[') {
    return std::make_unique<JsonArray>(TextCursor(files, path), max_row_bytes);
  }
  return std::make_unique<JsonLines>(LineReader(files, path, max_row_bytes));
}

}  // namespace weft::data
