#include "data/reader_csv.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "data/text_cursor.h"

namespace weft::data {

namespace {

class CsvRows final : public RowReader {
 public:
  CsvRows(FileSystem& files, const fs::path& path, char separator, std::uint64_t max_row_bytes)
      : text_(files, path), separator_(separator), max_row_bytes_(max_row_bytes) {
    if (read_record()) {
      take_header();
    }
  }

  bool next(Row& row) override {
    if (!read_record()) {
      return false;
    }
    if (fields_.size() != keys_.size()) {
      fail_data(
          "{}:{}: {} fields, the header has {}; a field with {} or a quote in it must be in "
          "quotes",
          text_.path().string(), line_, fields_.size(), keys_.size(),
          separator_ == ',' ? "a comma" : "a tab");
    }
    row.line = line_;
    row.text.clear();
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      if (!is_utf8(fields_[i])) {
        fail_data("{}:{}: column {} is not valid UTF-8; convert the file to UTF-8 first",
                  text_.path().string(), line_, i + 1);
      }
      row.text += i == 0 ? '{' : ',';
      row.text += keys_[i];
      row.text += dump_json(fields_[i]);
    }
    row.text += '}';
    return true;
  }
  [[nodiscard]] std::uint64_t bytes_read() const override { return text_.bytes_read(); }

 private:
  void take_header() {
    for (std::string& name : fields_) {
      if (name.empty() || !is_utf8(name) || std::count(fields_.begin(), fields_.end(), name) > 1) {
        fail_data(
            "{}:{}: the header has the column name '{}', which is empty, repeated or not "
            "UTF-8; expected a name for each column",
            text_.path().string(), line_, printable(name));
      }
    }
    for (const std::string& name : fields_) {
      keys_.push_back(dump_json(name) + ":");
    }
  }

  /// Fills fields_ with the next record that has something on it; false at the end of the file.
  bool read_record() {
    do {
      if (text_.peek() == TextCursor::kEnd) {
        return false;
      }
      line_ = text_.line();
      size_ = 0;
      fields_.clear();
      do {
        fields_.emplace_back();
        read_field(fields_.back());
      } while (take_if(separator_));
      (void)take_if('\r');
      (void)take_if('\n');
    } while (fields_.size() == 1 && fields_[0].empty() && !quoted_);
    return true;
  }

  void read_field(std::string& field) {
    quoted_ = take_if('"');
    if (quoted_) {
      read_quoted(field);
      if (!ends_field(text_.peek())) {
        fail_data(
            "{}:{}: text after the closing quote of a field; a quote inside a quoted field is "
            "written twice",
            text_.path().string(), text_.line());
      }
      return;
    }
    while (!ends_field(text_.peek())) {
      add(field);
    }
  }

  void read_quoted(std::string& field) {
    while (true) {
      if (text_.peek() == TextCursor::kEnd) {
        fail_data("{}:{}: a quote that is opened in this row is never closed",
                  text_.path().string(), line_);
      }
      if (take_if('"') && text_.peek() != '"') {
        return;
      }
      add(field);
    }
  }

  void add(std::string& field) {
    if (++size_ > max_row_bytes_) {
      fail_data("{}:{}: the row that begins here is longer than {}; is a quote missing?",
                text_.path().string(), line_, human_bytes(max_row_bytes_));
    }
    field += static_cast<char>(text_.take());
  }

  [[nodiscard]] bool ends_field(int byte) const {
    return byte == separator_ || byte == '\n' || byte == '\r' || byte == TextCursor::kEnd;
  }

  bool take_if(char wanted) {
    if (text_.peek() != static_cast<unsigned char>(wanted)) {
      return false;
    }
    text_.take();
    return true;
  }

  TextCursor text_;
  char separator_;
  std::uint64_t max_row_bytes_;
  std::vector<std::string> keys_;  ///< column names as JSON, each with its colon
  std::vector<std::string> fields_;
  bool quoted_ = false;     ///< the last field read
  std::int64_t line_ = 0;   ///< that the record begins on
  std::uint64_t size_ = 0;  ///< of the record so far
};

}  // namespace

std::unique_ptr<RowReader> open_csv_rows(FileSystem& files, const fs::path& path, char separator,
                                         std::uint64_t max_row_bytes) {
  return std::make_unique<CsvRows>(files, path, separator, max_row_bytes);
}

}  // namespace weft::data
