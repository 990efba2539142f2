#pragma once

namespace weft::data {

/// What to do with a document of more than max_length tokens.
enum class Overlong { kTruncate, kDrop, kSplit, kError };

}  // namespace weft::data
