#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "data/document.h"
#include "data/manifest.h"
#include "data/tokenize.h"

namespace weft::data {

/// Drops, cuts or keeps a document by the rules of `options` and counts what it did in `counts`
/// (all but `rows` and `dropped`). What comes back is at most max_length long and has a target.
/// `name` (FILE:LINE) is for messages and for counts.first_dropped.
///
/// Overlong::kTruncate keeps what is trained, with as much before it as fits:
///  - where the first and the last target lie close enough, all targets stay: tokens after the last
///    one go first, then the front is cut, as little as will do (a long prompt loses its
///    beginning);
///  - else the targets themselves are cut at their end, and of what stands before the first one at
///    most max_length / 2 tokens stay (a long text or answer loses its end).
[[nodiscard]] std::vector<Document> fit_document(Document document, const TokenizeOptions& options,
                                                 std::string_view name, SourceCounts& counts);

/// Where the max_length tokens begin that Overlong::kTruncate keeps of a longer document. A mask
/// without a target keeps the beginning.
[[nodiscard]] std::int64_t truncation_begin(std::span<const std::uint8_t> mask,
                                            std::int64_t max_length);

}  // namespace weft::data
