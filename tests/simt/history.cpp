#include "tests/simt/history.h"

#include <algorithm>

namespace weft::simt {
namespace {

bool races(const Moment& earlier, const Moment& now) {
  return earlier.launch != 0 && !earlier.before(now) && !(earlier.atomic && now.atomic);
}

}  // namespace

std::optional<Moment> History::note(std::size_t offset, std::size_t size, bool write,
                                    const Moment& now) {
  std::optional<Moment> found;
  for (std::size_t i = offset / kGranule; i * kGranule < offset + size; ++i) {
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

bool History::written(std::size_t offset, std::size_t size) const {
  const auto first = cells_.begin() + static_cast<std::ptrdiff_t>(offset / kGranule);
  const auto last =
      cells_.begin() + static_cast<std::ptrdiff_t>((offset + size + kGranule - 1) / kGranule);
  return std::all_of(first, last, [](const Cell& cell) { return cell.writer.launch != 0; });
}

}  // namespace weft::simt
