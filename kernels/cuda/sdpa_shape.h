#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

namespace weft::kernels::cuda {

/// What an attention plan is built for, and the key it is kept under. A plan takes every
/// micro-batch that fits: documents that are missing have length zero, shorter ones are masked.
struct SdpaShape {
  std::int64_t documents = 0;
  std::int64_t max_length = 0;  ///< of a document
  std::int64_t rows = 0;        ///< of the whole micro-batch; sizes the backward pass's workspace
  std::int64_t heads_q = 0;
  std::int64_t heads_k = 0;
  std::int64_t head_dim = 0;
  bool deterministic = true;
  bool backward = false;
  std::int64_t out_spare = 0;   ///< columns behind the rows of the output
  std::int64_t dqkv_spare = 0;  ///< the same of the gradient of packed q, k and v

  auto operator<=>(const SdpaShape&) const = default;

  /// Elements from one row of packed q, k and v to the next.
  [[nodiscard]] std::int64_t packed_row() const { return (heads_q + 2 * heads_k) * head_dim; }
  /// The same of their gradient, of the output, and of the output's gradient.
  [[nodiscard]] std::int64_t dqkv_row() const { return packed_row() + dqkv_spare; }
  [[nodiscard]] std::int64_t out_row() const { return dout_row() + out_spare; }
  [[nodiscard]] std::int64_t dout_row() const { return heads_q * head_dim; }
};

/// The bytes of the gradient of the scores, which cuDNN's deterministic backward pass keeps whole
/// in bf16: documents * heads_q * max_length^2 * 2. Nothing else in a step grows with the square
/// of a document's length.
[[nodiscard]] std::int64_t score_gradient_bytes(const SdpaShape& shape);

/// At most this much device memory is a plan's workspace, in bytes: for the memory planner.
[[nodiscard]] std::int64_t workspace_bound(const SdpaShape& shape);

/// Neighbouring documents of a micro-batch that one call takes.
struct SdpaGroup {
  std::int64_t first = 0;      ///< document
  std::int64_t documents = 0;  ///< at least one
  SdpaShape shape;             ///< of the plan: bucketed
};

struct SdpaLimits {
  bool deterministic = true;
  /// What the gradient of the scores may take in one call. A document that is over it alone is a
  /// group whose shape is not deterministic.
  std::int64_t score_bytes = std::int64_t{2} << 30;
};

/// Cuts a micro-batch into calls. Not deterministic: one call. Deterministic: a call for each run
/// of neighbours whose lengths fall into the same bucket, so that short documents do not pay the
/// squared length of long ones, with as many of them as `limits` allows. Documents sorted by length
/// make the fewest calls. `cu_seqlens` are the first rows of the documents and the total; empty
/// documents belong to no call. The heads and the spare columns are those of `heads`.
[[nodiscard]] std::vector<SdpaGroup> group_documents(std::span<const std::int32_t> cu_seqlens,
                                                     const SdpaShape& heads,
                                                     const SdpaLimits& limits);

/// The sizes that plans are built for: 1, 2, 4, 8, … documents; 256, 512, 1,024, …
/// tokens of the longest; rows in steps of 4,096. Less than half of the documents is padding.
[[nodiscard]] std::int64_t document_bucket(std::int64_t documents);
[[nodiscard]] std::int64_t length_bucket(std::int64_t length);
[[nodiscard]] std::int64_t row_bucket(std::int64_t rows);

/// What a call's kernels read beside the rows, for `shape.documents` documents: lengths int32
/// [documents], and the first element of each document int64 [documents + 1] in packed rows, in
/// their gradient, in the output, in its gradient, in rows of heads_k heads, and in statistics.
/// Documents that are padding have length 0 and begin where the last one ends.
struct SdpaTable {
  std::vector<std::int32_t> lengths;
  std::vector<std::int64_t> packed, dqkv, out, dout, k, statistics;
};
[[nodiscard]] SdpaTable table_of(const SdpaGroup& group, std::span<const std::int32_t> cu_seqlens);

}  // namespace weft::kernels::cuda
