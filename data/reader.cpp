#include "data/reader.h"

#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/reader_lines.h"

namespace weft::data {

namespace {

class LineRows final : public RowReader {
 public:
  explicit LineRows(LineReader lines) : lines_(std::move(lines)) {}

  bool next(Row& row) override {
    const bool found = lines_.next(row.text);
    row.line = lines_.number();
    return found;
  }
  [[nodiscard]] std::uint64_t bytes_read() const override { return lines_.bytes_read(); }

 private:
  LineReader lines_;
};

/// Lines between separators, joined by "\n". Several separators in a row count as one.
class BlockRows final : public RowReader {
 public:
  BlockRows(LineReader lines, const RowOptions& options)
      : lines_(std::move(lines)), options_(options) {}

  bool next(Row& row) override {
    row.text.clear();
    row.line = 0;
    while (lines_.next(line_)) {
      if (!is_separator()) {
        add(row);
      } else if (row.line != 0) {
        return true;
      }
    }
    return row.line != 0;
  }
  [[nodiscard]] std::uint64_t bytes_read() const override { return lines_.bytes_read(); }

 private:
  [[nodiscard]] bool is_separator() const {
    return options_.split == TextSplit::kParagraph
               ? line_.find_first_not_of(" \t") == std::string::npos
               : line_ == options_.separator;
  }

  void add(Row& row) {
    if (row.line == 0) {
      row.line = lines_.number();
    } else {
      row.text += '\n';
    }
    if (row.text.size() + line_.size() > options_.max_row_bytes) {
      fail_data("{}:{}: the text that begins here is longer than {}; check the separator",
                lines_.path().string(), row.line, human_bytes(options_.max_row_bytes));
    }
    row.text += line_;
  }

  LineReader lines_;
  RowOptions options_;
  std::string line_;
};

/// The file as it is, line ends included; read through LineReader's checks would lose them.
class FileRow final : public RowReader {
 public:
  FileRow(FileSystem& files, const fs::path& path, const RowOptions& options)
      : files_(files), path_(path), limit_(options.max_row_bytes) {}

  bool next(Row& row) override {
    if (done_) {
      return false;
    }
    done_ = true;
    row.line = 1;
    row.text = read_file(files_, path_, limit_);
    bytes_ = row.text.size();
    check_utf8(row.text);
    if (row.text.starts_with("\xEF\xBB\xBF")) {
      row.text.erase(0, 3);
    }
    return true;
  }
  [[nodiscard]] std::uint64_t bytes_read() const override { return bytes_; }

 private:
  void check_utf8(std::string_view text) const {
    if (is_utf8(text)) {
      return;
    }
    std::int64_t number = 0;
    for (const std::string_view line : split(text, '\n')) {
      ++number;
      if (!is_utf8(line)) {
        break;
      }
    }
    fail_data("{}:{}: is not valid UTF-8; convert the file to UTF-8 first", path_.string(), number);
  }

  FileSystem& files_;
  fs::path path_;
  std::uint64_t limit_;
  std::uint64_t bytes_ = 0;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<RowReader> open_rows(FileSystem& files, const fs::path& path,
                                     const RowOptions& options) {
  if (options.split == TextSplit::kFile) {
    return std::make_unique<FileRow>(files, path, options);
  }
  LineReader lines(files, path, options.max_row_bytes);
  if (options.split == TextSplit::kLine) {
    return std::make_unique<LineRows>(std::move(lines));
  }
  return std::make_unique<BlockRows>(std::move(lines), options);
}

}  // namespace weft::data
