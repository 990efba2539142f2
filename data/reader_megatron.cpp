#include "data/reader_megatron.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/ids_row.h"
#include "data/megatron.h"

namespace weft::data {

namespace {

class MegatronRows final : public RowReader {
 public:
  MegatronRows(FileSystem& files, const fs::path& path, std::uint64_t max_row_bytes)
      : reader_(files, path),
        path_(path),
        mask_path_(megatron_mask_paths(path).idx),
        max_row_bytes_(max_row_bytes),
        bytes_(files.open(path)->size()) {
    if (files.exists(mask_path_)) {
      masks_.emplace(files, mask_path_);
      if (masks_->documents() != reader_.documents()) {
        fail_data("{}: has masks of {} documents, and {} has {}", mask_path_.string(),
                  masks_->documents(), path.string(), reader_.documents());
      }
    }
  }

  bool next(Row& row) override {
    if (next_ == reader_.documents()) {
      return false;
    }
    if (ids_row_bytes(reader_.length(next_)) > max_row_bytes_) {  // before they are read
      fail_data("{}: document {} has {} tokens: too many for a row of at most {} bytes",
                path_.string(), next_ + 1, reader_.length(next_), max_row_bytes_);
    }
    reader_.read(next_, ids_);
    read_mask();
    row.text = ids_row(ids_, trained_);
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
  void read_mask() {
    if (!masks_) {
      return;
    }
    std::vector<std::int32_t> mask;
    if (masks_->length(next_) == reader_.length(next_)) {
      masks_->read(next_, mask);
    }
    if (mask.size() != ids_.size() ||
        std::any_of(mask.begin(), mask.end(), [](std::int32_t bit) { return bit > 1; })) {
      fail_data("{}: document {}: expected 0 or 1 for each of the {} tokens that {} has",
                mask_path_.string(), next_ + 1, ids_.size(), path_.string());
    }
    trained_.assign(mask.begin(), mask.end());
  }

  MegatronReader reader_;
  std::optional<MegatronReader> masks_;
  fs::path path_;
  fs::path mask_path_;
  std::uint64_t max_row_bytes_;
  std::uint64_t bytes_;
  std::vector<std::int32_t> ids_;
  std::vector<std::uint8_t> trained_;  ///< empty: the pair has no masks
  std::int64_t next_ = 0;
};

}  // namespace

std::unique_ptr<RowReader> open_megatron_rows(FileSystem& files, const fs::path& path,
                                              std::uint64_t max_row_bytes) {
  return std::make_unique<MegatronRows>(files, path, max_row_bytes);
}

}  // namespace weft::data
