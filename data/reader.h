#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/file_system.h"

namespace weft::data {

/// One unit of a raw file before it is tokenised: a text, or a value of JSON.
struct Row {
  std::string text;       ///< valid UTF-8, without the byte-order mark and the line's end
  std::int64_t line = 0;  ///< where it begins in its file, counted from 1; of Parquet, the row
};

/// How the rows of a file are written.
enum class FileSyntax {
  kText,      ///< plain text, cut by TextSplit
  kJson,      ///< one JSON value a line, or one array of them
  kCsv,       ///< a table with a header: each row as a JSON object of strings
  kTsv,       ///< the same with tabs
  kParquet,   ///< each row as a JSON object
  kMegatron,  ///< each document as a JSON object of ids and labels
  kHdf5,      ///< the same, of Cerebras' token files
};

/// By the extension, under that of a compressed file: .jsonl, .ndjson and .json; .csv; .tsv and
/// .tab; .parquet and .pq; .idx; .h5 and .hdf5. All else is text.
[[nodiscard]] FileSyntax file_syntax(const fs::path& path);

/// How a text file is cut into rows.
enum class TextSplit {
  kFile,       ///< the whole file, as it is
  kLine,       ///< every line
  kParagraph,  ///< lines between blank lines, joined by "\n"
  kSeparator,  ///< lines between lines that equal the separator, joined by "\n"
};

struct RowOptions {
  FileSyntax syntax = FileSyntax::kText;
  TextSplit split = TextSplit::kLine;
  std::string separator = {};  ///< for kSeparator
  /// Into how many ids a stream of ids without document bounds is cut.
  std::optional<std::int64_t> stream_tokens = {};
  /// A longer row stops the reader before it is in memory.
  std::uint64_t max_row_bytes = std::uint64_t{64} << 20;
};

/// Gives the rows of one file, in order. A file may be compressed (byte_stream.h). LF and CRLF end
/// a line, a missing end of the last line is fine, a byte-order mark at the start is dropped.
/// Invalid UTF-8 and a row over the limit are data Errors `FILE:LINE: …`.
class RowReader {
 public:
  virtual ~RowReader() = default;
  /// False at the end of the file.
  [[nodiscard]] virtual bool next(Row& row) = 0;
  /// Bytes of the file consumed so far.
  [[nodiscard]] virtual std::uint64_t bytes_read() const = 0;
};

[[nodiscard]] std::unique_ptr<RowReader> open_rows(FileSystem& files, const fs::path& path,
                                                   const RowOptions& options);

}  // namespace weft::data
