#include "kernels/cuda/sdpa_shape.h"

#include <algorithm>
#include <bit>

namespace weft::kernels::cuda {
namespace {

// A plan takes half a second to compile, and a call of few short documents fills no GPU.
constexpr std::int64_t kShortestBucket = 256;
constexpr std::int64_t kRowStep = 4096;

std::int64_t power_of_two_from(std::int64_t value) {
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(value)));
}

SdpaShape bucketed(const SdpaShape& heads, std::int64_t documents, std::int64_t longest,
                   std::int64_t rows, bool deterministic) {
  SdpaShape shape = heads;
  shape.documents = document_bucket(documents);
  shape.max_length = length_bucket(longest);
  shape.rows = row_bucket(rows);
  shape.deterministic = deterministic;
  return shape;
}

}  // namespace

std::int64_t score_gradient_bytes(const SdpaShape& shape) {
  return shape.documents * shape.heads_q * shape.max_length * shape.max_length * 2;
}

std::int64_t workspace_bound(const SdpaShape& shape) {
  constexpr std::int64_t kFloat = 4;
  constexpr std::int64_t kSmall = 64 << 10;  // counters of the kernels
  if (!shape.backward) {
    return kSmall;
  }
  const std::int64_t q_row = shape.heads_q * shape.head_dim * kFloat;
  const std::int64_t rows = 2 * shape.rows * q_row + shape.rows * shape.heads_q * kFloat;
  return rows + kSmall +
         (shape.deterministic ? score_gradient_bytes(shape)
                              : shape.rows * shape.dqkv_row() * kFloat);
}

std::int64_t document_bucket(std::int64_t documents) { return power_of_two_from(documents); }

std::int64_t length_bucket(std::int64_t length) {
  return std::max(power_of_two_from(length), kShortestBucket);
}

std::int64_t row_bucket(std::int64_t rows) { return (rows + kRowStep - 1) / kRowStep * kRowStep; }

std::vector<SdpaGroup> group_documents(std::span<const std::int32_t> cu_seqlens,
                                       const SdpaShape& heads, const SdpaLimits& limits) {
  const std::int64_t rows = cu_seqlens.back();
  std::vector<SdpaGroup> groups;
  const auto length = [&](std::int64_t document) {
    const auto at = static_cast<std::size_t>(document);
    return std::int64_t{cu_seqlens[at + 1]} - cu_seqlens[at];
  };
  const auto joins = [&](std::int64_t document) {
    if (groups.empty() || groups.back().first + groups.back().documents != document) {
      return false;
    }
    const SdpaGroup& last = groups.back();
    if (!limits.deterministic) {
      return true;
    }
    const SdpaShape grown =
        bucketed(heads, last.documents + 1, length(document), rows, /*deterministic=*/true);
    return last.shape.deterministic && grown.max_length == last.shape.max_length &&
           score_gradient_bytes(grown) <= limits.score_bytes;
  };
  const auto documents = static_cast<std::int64_t>(cu_seqlens.size()) - 1;
  for (std::int64_t document = 0; document < documents; ++document) {
    if (length(document) == 0) {
      continue;
    }
    if (joins(document)) {
      SdpaGroup& last = groups.back();
      ++last.documents;
      last.shape =
          bucketed(heads, last.documents, std::max(last.shape.max_length, length(document)), rows,
                   last.shape.deterministic);
    } else {
      SdpaShape alone = bucketed(heads, 1, length(document), rows, limits.deterministic);
      alone.deterministic =
          alone.deterministic && score_gradient_bytes(alone) <= limits.score_bytes;
      groups.push_back({document, 1, alone});
    }
  }
  return groups;
}

SdpaTable table_of(const SdpaGroup& group, std::span<const std::int32_t> cu_seqlens) {
  const SdpaShape& shape = group.shape;
  SdpaTable table;
  const auto first_row = [&](std::int64_t document) {
    return std::int64_t{
        cu_seqlens[static_cast<std::size_t>(group.first + std::min(document, group.documents))]};
  };
  for (std::int64_t document = 0; document <= shape.documents; ++document) {
    const std::int64_t row = first_row(document);
    table.packed.push_back(row * shape.packed_row());
    table.dqkv.push_back(row * shape.dqkv_row());
    table.out.push_back(row * shape.out_row());
    table.dout.push_back(row * shape.dout_row());
    table.k.push_back(row * shape.heads_k * shape.head_dim);
    table.statistics.push_back(row * shape.heads_q);
    if (document < shape.documents) {
      table.lengths.push_back(static_cast<std::int32_t>(first_row(document + 1) - row));
    }
  }
  return table;
}

}  // namespace weft::kernels::cuda
