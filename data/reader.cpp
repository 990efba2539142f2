#include "data/reader.h"

#include <array>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/byte_stream.h"
#include "data/reader_cerebras.h"
#include "data/reader_csv.h"
#include "data/reader_json.h"
#include "data/reader_lines.h"
#include "data/reader_megatron.h"
#include "data/reader_parquet.h"

namespace weft::data {

namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;

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

/// The file as it is, line ends included, which LineReader would drop.
class FileRow final : public RowReader {
 public:
  FileRow(FileSystem& files, const fs::path& path, const RowOptions& options)
      : path_(path), stream_(open_byte_stream(files, path)), limit_(options.max_row_bytes) {}

  bool next(Row& row) override {
    if (done_) {
      return false;
    }
    done_ = true;
    row.line = 1;
    read_all(row.text);
    check_utf8(row.text);
    if (row.text.starts_with("\xEF\xBB\xBF")) {
      row.text.erase(0, 3);
    }
    return true;
  }
  [[nodiscard]] std::uint64_t bytes_read() const override { return stream_->bytes_read(); }

 private:
  void read_all(std::string& text) {
    text.clear();
    std::size_t size = 0;
    std::size_t count = 0;
    do {
      if (size > limit_) {
        fail_data("{}: is longer than {}, too long for one document; use another sample_by",
                  path_.string(), human_bytes(limit_));
      }
      text.resize(size + kBlock);
      count = stream_->read(std::as_writable_bytes(std::span(text)).subspan(size));
      size += count;
    } while (count != 0);
    text.resize(size);
  }

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

  fs::path path_;
  std::unique_ptr<ByteStream> stream_;
  std::uint64_t limit_;
  bool done_ = false;
};

}  // namespace

FileSyntax file_syntax(const fs::path& path) {
  static const std::array<std::pair<std::string_view, FileSyntax>, 11> kExtensions{
      {{".jsonl", FileSyntax::kJson},
       {".ndjson", FileSyntax::kJson},
       {".json", FileSyntax::kJson},
       {".csv", FileSyntax::kCsv},
       {".tsv", FileSyntax::kTsv},
       {".tab", FileSyntax::kTsv},
       {".parquet", FileSyntax::kParquet},
       {".pq", FileSyntax::kParquet},
       {".idx", FileSyntax::kMegatron},
       {".h5", FileSyntax::kHdf5},
       {".hdf5", FileSyntax::kHdf5}}};
  const std::string extension = uncompressed_name(path).extension().string();
  for (const auto& [name, syntax] : kExtensions) {
    if (extension == name) {
      return syntax;
    }
  }
  return FileSyntax::kText;
}

std::unique_ptr<RowReader> open_rows(FileSystem& files, const fs::path& path,
                                     const RowOptions& options) {
  switch (options.syntax) {
    case FileSyntax::kText:
      break;
    case FileSyntax::kJson:
      return open_json_rows(files, path, options.max_row_bytes);
    case FileSyntax::kCsv:
      return open_csv_rows(files, path, ',', options.max_row_bytes);
    case FileSyntax::kTsv:
      return open_csv_rows(files, path, '\t', options.max_row_bytes);
    case FileSyntax::kParquet:
      return open_parquet_rows(files, path, options.max_row_bytes);
    case FileSyntax::kMegatron:
      return open_megatron_rows(files, path, options.max_row_bytes);
    case FileSyntax::kHdf5:
      return open_cerebras_rows(files, path, options.stream_tokens, options.max_row_bytes);
  }
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
