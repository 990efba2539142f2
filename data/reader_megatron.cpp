#include "data/reader_megatron.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>
#include <vector>

#include "base/error.h"
#include "data/megatron.h"

namespace weft::data {

namespace {

class MegatronRows final : public RowReader {
 public:
  MegatronRows(FileSystem& files, const fs::path& path, std::uint64_t max_row_bytes)
      : reader_(files, path),
        path_(path),
        max_row_bytes_(max_row_bytes),
        bytes_(files.open(path)->size()) {}

  bool next(Row& row) override {
    if (next_ == reader_.documents()) {
      return false;
    }
    // Before they are read: a digit and a comma each, twice.
    if (4 * static_cast<std::uint64_t>(reader_.length(next_)) > max_row_bytes_) {
      fail_data("{}: document {} has {} tokens: too many for a row of at most {} bytes",
                path_.string(), next_ + 1, reader_.length(next_), max_row_bytes_);
    }
    reader_.read(next_, ids_);
    const std::string list = fmt::format("{}", fmt::join(ids_, ","));
    row.text = fmt::format("{{\"ids\":[{}],\"labels\":[{}]}}", list, list);
    row.line = ++next_;
    return true;
  }

  [[nodiscard]] std::uint64_t bytes_read() const override {
    const std::int64_t all = reader_.documents();
    return all == 0
               ? bytes_
               : static_cast<std::uint64_t>(static_cast<double>(bytes_) *
                                            static_cast<double>(next_) / static_cast<double>(all));
  }

 private:
  MegatronReader reader_;
  fs::path path_;
  std::uint64_t max_row_bytes_;
  std::uint64_t bytes_;
  std::vector<std::int32_t> ids_;
  std::int64_t next_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> open_megatron_rows(FileSystem& files, const fs::path& path,
                                              std::uint64_t max_row_bytes) {
  return std::make_unique<MegatronRows>(files, path, max_row_bytes);
}

}  // namespace weft::data
