#pragma once

#include <cstdint>
#include <vector>

namespace weft::data {

/// Which rows of a dataset are read, by their number: all, the first so many, or a sample. The same
/// for everyone who asks; small for a small sample (one bit a row of the dataset).
class RowSelection {
 public:
  /// Every row.
  RowSelection() = default;
  /// The first `count` rows.
  [[nodiscard]] static RowSelection first(std::int64_t count);
  /// Exactly `count` of `rows` rows (at most so many), each set of them equally likely, decided by
  /// `seed`: Knuth, The Art of Computer Programming, volume 2, 3.4.2, algorithm S.
  [[nodiscard]] static RowSelection sample(std::int64_t count, std::int64_t rows,
                                           std::uint64_t seed);

  /// Whether row number `row`, from 0 over all files of the dataset, is read.
  [[nodiscard]] bool contains(std::int64_t row) const {
    if (row >= limit_) {
      return false;
    }
    return !sampled_ || chosen_[static_cast<std::size_t>(row)];
  }
  /// Whether no row from `row` on is read, so that reading can stop.
  [[nodiscard]] bool ends_before(std::int64_t row) const { return row >= limit_; }

 private:
  std::int64_t limit_ = INT64_MAX;  ///< after the last row that is read
  bool sampled_ = false;
  std::vector<bool> chosen_;
};

}  // namespace weft::data
