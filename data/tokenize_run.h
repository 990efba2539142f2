#pragma once

#include <vector>

#include "base/file_system.h"
#include "data/manifest.h"
#include "data/shard_writer.h"
#include "data/tokenize.h"
#include "data/tokenize_sources.h"
#include "data/tokenize_work.h"
#include "data/tokenizer.h"

namespace weft::data {

/// Reads, encodes and fits the rows of all sources that `work` is not done with, and gives their
/// documents to `writer`, whose folder is work's; records each shard in `work` as it is finished.
/// What became of the rows of each source, those of earlier runs included. When an input is at
/// fault, `work` is discarded.
[[nodiscard]] std::vector<SourceCounts> run_tokenization(FileSystem& files,
                                                         const std::vector<TokenizeSource>& sources,
                                                         const Tokenizer& tokenizer,
                                                         const TokenizeOptions& options,
                                                         ShardWriter& writer, TokenizeWork& work);

}  // namespace weft::data
