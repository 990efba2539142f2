#pragma once

#include <cstdint>
#include <vector>

#include "data/loader.h"

namespace weft::trainer {

/// The documents of a micro-batch in pieces of at most `tokens` tokens, in order; one that is
/// longer is a piece of its own. Together they have the tokens and targets of the whole.
[[nodiscard]] std::vector<data::MicroBatch> split_micro_batch(const data::MicroBatch& batch,
                                                              std::int64_t tokens);

/// The same documents, the shortest first; equal lengths keep their order. A GPU's attention takes
/// neighbours of about one length together.
[[nodiscard]] data::MicroBatch sorted_by_length(const data::MicroBatch& batch);

/// The same documents and as many more as fill the batch up to a multiple of a 32nd of `tokens` (64
/// at least), or to `tokens` where that is less: so that micro-batches of many sizes have few. They
/// are no longer than `longest`, have no target, and no other document sees them. A batch that is
/// longer stays as it is.
[[nodiscard]] data::MicroBatch filled_up(const data::MicroBatch& batch, std::int64_t tokens,
                                         std::int64_t longest);

}  // namespace weft::trainer
