#pragma once

#include <string_view>
#include <vector>

#include "data/document.h"
#include "data/manifest.h"
#include "data/tokenize.h"

namespace weft::data {

/// Drops, cuts or keeps a document by the rules of `options` and counts what it did in `counts`
/// (all but `rows`). What comes back is at most max_length long and has a target. `name`
/// (FILE:LINE) is for the Error of Overlong::kError.
[[nodiscard]] std::vector<Document> fit_document(Document document, const TokenizeOptions& options,
                                                 std::string_view name, SourceCounts& counts);

}  // namespace weft::data
