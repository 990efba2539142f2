#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weft::model {

/// Tokens [begin, end) of a document of a micro-batch.
struct ContextPiece {
  std::int64_t document = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;

  [[nodiscard]] std::int64_t size() const { return end - begin; }
  bool operator==(const ContextPiece&) const = default;
};

/// What one rank of a context group has of a micro-batch: its rows in that order, those of split
/// documents first.
struct ContextPart {
  std::vector<ContextPiece> split;  ///< two of each split document, in its order
  std::vector<std::int64_t> whole;  ///< documents, rising
  std::int64_t split_rows = 0;      ///< of `split`
  std::int64_t rows = 0;            ///< of both
};

/// Shares a micro-batch out among `ranks` ranks: the same on all of them. A document of more than
/// an eighth of a rank's even share of the tokens is split into 2 ranks pieces, of which rank r has
/// the r-th from either end: causal attention then costs each of them the same. One that is
/// shorter, or has no more than 2 ranks tokens, stays whole with one rank; the longest of these are
/// split too, fewer than 2 ranks of them, while a rank would have over 1/32 more rows than its
/// share.
[[nodiscard]] std::vector<ContextPart> lay_out_context(std::span<const std::int32_t> cu_seqlens,
                                                       std::int64_t ranks);

}  // namespace weft::model
