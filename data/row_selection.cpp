#include "data/row_selection.h"

#include "base/error.h"
#include "base/random.h"

namespace weft::data {

RowSelection RowSelection::first(std::int64_t count) {
  RowSelection selection;
  selection.limit_ = count;
  return selection;
}

RowSelection RowSelection::sample(std::int64_t count, std::int64_t rows, std::uint64_t seed) {
  if (count > rows) {
    fail_internal("a sample of {} out of {} rows", count, rows);
  }
  RowSelection selection;
  selection.sampled_ = true;
  selection.limit_ = 0;
  selection.chosen_.assign(static_cast<std::size_t>(rows), false);
  Random random(seed);
  for (std::int64_t row = 0; row < rows && count > 0; ++row) {
    if (random.below(static_cast<std::uint64_t>(rows - row)) < static_cast<std::uint64_t>(count)) {
      selection.chosen_[static_cast<std::size_t>(row)] = true;
      selection.limit_ = row + 1;
      --count;
    }
  }
  return selection;
}

}  // namespace weft::data
