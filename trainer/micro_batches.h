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

}  // namespace weft::trainer
