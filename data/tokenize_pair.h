#pragma once

#include <string_view>
#include <vector>

#include "data/document.h"
#include "data/manifest.h"
#include "data/tokenize.h"

namespace weft::data {

/// As fit_document for a preference pair, which is kept or dropped whole: both documents are cut to
/// max_length where that is to be done, and one that would be dropped or split takes the other with
/// it. False: the pair is dropped.
[[nodiscard]] bool fit_pair(std::vector<Document>& pair, const TokenizeOptions& options,
                            std::string_view name, SourceCounts& counts);

}  // namespace weft::data
