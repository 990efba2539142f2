#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace weft::model {

/// A batch's part of documents that are split among the ranks of a context group: its first rows.
struct SplitRows {
  /// Neighbouring rows of one document, and the keys that the last of them sees: those of the
  /// document up to it, [first_key, first_key + keys) of all split documents' S tokens.
  struct Piece {
    std::int64_t row = 0;
    std::int64_t rows = 0;
    std::int64_t first_key = 0;
    std::int64_t keys = 0;
  };

  std::int64_t rows = 0;    ///< of this rank; 0: no document is split, for any rank
  std::int64_t padded = 0;  ///< R, the most of any rank
  std::vector<Piece> pieces;
  at::Tensor order;  ///< [S] int64: where in the ranks' rows [C, R] the documents' tokens are
  bool any_targets = false;  ///< on any rank, so that all of them make the pass
};

/// A micro-batch of T tokens laid end to end, no padding: split documents' pieces, where there are
/// any, then whole documents.
struct PackedBatch {
  at::Tensor tokens;                     ///< [T] int64
  at::Tensor positions;                  ///< [T] int32, in the document
  SplitRows split;                       ///< the first rows
  std::vector<std::int32_t> cu_seqlens;  ///< first row of each whole document, and their end, from
                                         ///< where the split rows end
  std::int64_t max_length = 0;           ///< of a document
  at::Tensor rows;                       ///< [N] int64: rows whose next token is a target
  at::Tensor targets;                    ///< [N] int64: that next token

  [[nodiscard]] std::int64_t size() const { return tokens.size(0); }
  [[nodiscard]] std::int64_t target_count() const { return rows.size(0); }
};

/// Builds a batch on `device`. mask[i] != 0 means that token i is a target (predicted from i - 1);
/// the first token of a document never is. Every token must be in [0, vocab_size), else a data
/// Error.
[[nodiscard]] PackedBatch make_packed_batch(std::span<const std::int32_t> tokens,
                                            std::span<const std::uint8_t> mask,
                                            std::span<const std::int32_t> cu_seqlens,
                                            std::int64_t vocab_size, c10::Device device);

/// Rank `rank`'s part of that batch in a context group of `ranks` ranks (lay_out_context), which
/// all make theirs. A rank whose part is empty gets one row, of which nothing is a target. All
/// tokens are checked on each.
[[nodiscard]] PackedBatch make_context_batch(std::span<const std::int32_t> tokens,
                                             std::span<const std::uint8_t> mask,
                                             std::span<const std::int32_t> cu_seqlens,
                                             std::int64_t vocab_size, c10::Device device,
                                             std::int64_t rank, std::int64_t ranks);

}  // namespace weft::model
