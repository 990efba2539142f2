#pragma once

#include <vector>

#include "data/content_filter.h"
#include "data/tokenize_sources.h"

namespace weft::data {

/// The rows that `options` ask for: all without a split. For a split by number it reads every row
/// once; a data Error when there are not more different rows than are to be set aside.
[[nodiscard]] SplitSide split_side(FileSystem& files, const std::vector<TokenizeSource>& sources,
                                   const Tokenizer& tokenizer, const TokenizeOptions& options);

}  // namespace weft::data
