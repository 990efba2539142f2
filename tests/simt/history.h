#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include "tests/simt/violation.h"

namespace weft::simt {

/// Who last touched each place of a piece of memory: finds accesses that nothing orders, and places
/// that were never written. A place is two bytes, until one alone is accessed. Two readers are
/// remembered, so that a write sees a foreign one even when its own thread read last.
class History {
 public:
  explicit History(std::size_t bytes) : cells_((bytes + 1) / 2) {}

  /// Notes an access to [offset, offset + size). Returns an earlier one that races with it.
  std::optional<Moment> note(std::size_t offset, std::size_t size, bool write, const Moment& now);

  /// Whether all of [offset, offset + size) has been written since the history began.
  [[nodiscard]] bool written(std::size_t offset, std::size_t size) const;

 private:
  struct Cell {
    Moment writer;
    std::array<Moment, 2> readers;
  };

  /// From now on each byte has a cell of its own.
  void split();

  std::size_t granule_ = 2;
  std::vector<Cell> cells_;
};

}  // namespace weft::simt
