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

}  // namespace

std::vector<ContextPart> lay_out_context(std::span<const std::int32_t> cu_seqlens,
                                         std::int64_t ranks) {
  std::vector<ContextPart> parts(static_cast<std::size_t>(ranks));
  const auto documents = static_cast<std::int64_t>(cu_seqlens.size()) - 1;
  std::vector<std::int64_t> whole;
  for (std::int64_t document = 0; document < documents; ++document) {
    const std::int64_t length = length_of(cu_seqlens, document);
    if (length > 2 * ranks && 8 * ranks * length > cu_seqlens.back()) {
      split(document, length, parts);
    } else {
      whole.push_back(document);
    }
  }
  for (ContextPart& part : parts) {
    part.rows = part.split_rows;
  }
  // The longest first, each to whoever has the fewest rows, leaves the smallest differences.
  std::stable_sort(whole.begin(), whole.end(), [&](std::int64_t a, std::int64_t b) {
    return length_of(cu_seqlens, a) > length_of(cu_seqlens, b);
  });
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

}  // namespace weft::model
