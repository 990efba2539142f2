#include "tests/simt/history.h"

#include <algorithm>
#include <utility>

namespace weft::simt {
namespace {

bool races(const Moment& earlier, const Moment& now) {
  return earlier.launch != 0 && !earlier.before(now) && !(earlier.atomic && now.atomic);
}

}  // namespace

std::optional<Moment> History::note(std::size_t offset, std::size_t size, bool write,
                                    const Moment& now) {
  if (granule_ == 2 && (size % 2 != 0 || offset % 2 != 0)) {
    split();
  }
  std::optional<Moment> found;
  for (std::size_t i = offset / granule_; i * granule_ < offset + size; ++i) {
    Cell& cell = cells_[i];
    if (races(cell.writer, now)) {
      found = cell.writer;
    }
    if (write) {
      for (const Moment& reader : cell.readers) {
        if (races(reader, now)) {
          found = reader;
        }
      }
      cell.writer = now;
    } else {
      if (cell.readers[0].thread != now.thread || cell.readers[0].block != now.block) {
        cell.readers[1] = cell.readers[0];
      }
      cell.readers[0] = now;
    }
  }
  return found;
}

void History::split() {
  std::vector<Cell> bytes;
  bytes.reserve(2 * cells_.size());
  for (const Cell& cell : cells_) {
    bytes.insert(bytes.end(), 2, cell);
  }
  cells_ = std::move(bytes);
  granule_ = 1;
}

bool History::written(std::size_t offset, std::size_t size) const {
  const auto first = cells_.begin() + static_cast<std::ptrdiff_t>(offset / granule_);
  const auto last =
      cells_.begin() + static_cast<std::ptrdiff_t>((offset + size + granule_ - 1) / granule_);
  return std::all_of(first, last, [](const Cell& cell) { return cell.writer.launch != 0; });
}

}  // namespace weft::simt
