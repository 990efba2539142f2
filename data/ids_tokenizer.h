#pragma once

#include <memory>

#include "data/tokenizer.h"

namespace weft::data {

/// Stands in for the tokenizer of a model folder that has none, so that rows of token ids and
/// shards can be used: it knows how many ids there are. Encoding and decoding are data Errors that
/// say so.
[[nodiscard]] std::unique_ptr<Tokenizer> make_ids_tokenizer(std::int64_t vocab_size,
                                                            const fs::path& model);

}  // namespace weft::data
