#include "model/context_layout.h"

#include <algorithm>
#include <numeric>

namespace weft::model {
namespace {

std::int64_t length_of(std::span<const std::int32_t> cu_seqlens, std::int64_t document) {
  const auto at = static_cast<std::size_t>(document);
  return cu_seqlens[at + 1] - cu_seqlens[at];
}

void split(std::int64_t document, std::int64_t length, std::vector<ContextPart>& parts) {
  const auto pieces = 2 * static_cast<std::int64_t>(parts.size());
  const auto add = [&](ContextPart& part, std::int64_t piece) {
    part.split.push_back({document, piece * length / pieces, (piece + 1) * length / pieces});
    part.split_rows += part.split.back().size();
  };
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    const auto r = static_cast<std::int64_t>(rank);
    add(parts[rank], r);
    add(parts[rank], pieces - 1 - r);
  }
}

// The longest of `whole` comes first; each to whoever has the fewest rows leaves the smallest
// differences.
std::vector<ContextPart> deal(std::span<const std::int32_t> cu_seqlens, std::int64_t ranks,
                              std::span<const std::int64_t> splits,
                              std::span<const std::int64_t> whole) {
  std::vector<ContextPart> parts(static_cast<std::size_t>(ranks));
  for (const std::int64_t document : splits) {
    split(document, length_of(cu_seqlens, document), parts);
  }
  for (ContextPart& part : parts) {
    part.rows = part.split_rows;
  }
  for (const std::int64_t document : whole) {
    ContextPart& part = *std::min_element(
        parts.begin(), parts.end(),
        [](const ContextPart& a, const ContextPart& b) { return a.rows < b.rows; });
    part.whole.push_back(document);
    part.rows += length_of(cu_seqlens, document);
  }
  for (ContextPart& part : parts) {
    std::sort(part.whole.begin(), part.whole.end());
  }
  return parts;
}

// No rank has more than a 32nd over its share: what memory is planned with.
bool are_even(const std::vector<ContextPart>& parts, std::int64_t tokens) {
  const auto ranks = static_cast<std::int64_t>(parts.size());
  return std::all_of(parts.begin(), parts.end(), [&](const ContextPart& part) {
    return 32 * ranks * part.rows <= 33 * tokens;
  });
}

}  // namespace

std::vector<ContextPart> lay_out_context(std::span<const std::int32_t> cu_seqlens,
                                         std::int64_t ranks) {
  std::vector<std::int64_t> splits;
  std::vector<std::int64_t> whole;
  for (std::int64_t d = 0; d + 1 < static_cast<std::int64_t>(cu_seqlens.size()); ++d) {
    const std::int64_t length = length_of(cu_seqlens, d);
    const bool is_long = length > 2 * ranks && 8 * ranks * length > cu_seqlens.back();
    (is_long ? splits : whole).push_back(d);
  }
  std::stable_sort(whole.begin(), whole.end(), [&](std::int64_t a, std::int64_t b) {
    return length_of(cu_seqlens, a) > length_of(cu_seqlens, b);
  });
  // A few that are not long are split as well where they can't be dealt out evenly: at most as many
  // as would be left over of equal ones, twice.
  std::span<const std::int64_t> left = whole;
  while (true) {
    std::vector<ContextPart> parts = deal(cu_seqlens, ranks, splits, left);
    const bool may_split = !left.empty() && length_of(cu_seqlens, left.front()) > 2 * ranks &&
                           static_cast<std::int64_t>(whole.size() - left.size()) < 2 * ranks;
    if (!may_split || are_even(parts, cu_seqlens.back())) {
      return parts;
    }
    splits.push_back(left.front());
    left = left.subspan(1);
  }
}

}  // namespace weft::model
