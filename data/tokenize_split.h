#pragma once

#include <vector>

#include "data/content_filter.h"
#include "data/tokenize_sources.h"
#include "data/tokenize_work.h"

namespace weft::data {

/// The rows that `options` ask for: all without a split. For a split by number it reads every row
/// once; a data Error when there are not more different rows than are to be set aside.
[[nodiscard]] SplitSide split_side(FileSystem& files, const std::vector<TokenizeSource>& sources,
                                   const Tokenizer& tokenizer, const TokenizeOptions& options);

/// Puts into `seen` what the rows before `until` say that are on `side`: for a run that goes on in
/// the middle. They are read, and not tokenised.
void remember_contents(FileSystem& files, const std::vector<TokenizeSource>& sources,
                       const Tokenizer& tokenizer, const TokenizeOptions& options,
                       const SplitSide& side, const TokenizePosition& until, ContentSet& seen);

}  // namespace weft::data
