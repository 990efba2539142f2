#include "data/reader_cerebras.h"

#include "base/error.h"
#include "base/text.h"
#include "data/cerebras.h"
#include "data/ids_row.h"

namespace weft::data {

namespace {

class CerebrasRows final : public RowReader {
 public:
  CerebrasRows(FileSystem& files, const fs::path& path, std::optional<std::int64_t> stream_tokens,
               std::uint64_t max_row_bytes)
      : reader_(files, path, stream_tokens), bytes_(files.open(path)->size()) {
    if (ids_row_bytes(reader_.longest()) > max_row_bytes) {
      fail_data("{}: its documents have up to {} tokens: too many for a row of at most {}",
                path.string(), reader_.longest(), human_bytes(max_row_bytes));
    }
  }

  bool next(Row& row) override {
    if (!reader_.next(document_)) {
      return false;
    }
    row.text = ids_row(document_.ids, document_.trained);
    row.line = document_.sample;
    return true;
  }

  [[nodiscard]] std::uint64_t bytes_read() const override {
    return static_cast<std::uint64_t>(reader_.fraction_read() * static_cast<double>(bytes_));
  }

 private:
  CerebrasReader reader_;
  std::uint64_t bytes_;
  CerebrasDocument document_;
};

}  // namespace

std::unique_ptr<RowReader> open_cerebras_rows(FileSystem& files, const fs::path& path,
                                              std::optional<std::int64_t> stream_tokens,
                                              std::uint64_t max_row_bytes) {
  return std::make_unique<CerebrasRows>(files, path, stream_tokens, max_row_bytes);
}

}  // namespace weft::data
