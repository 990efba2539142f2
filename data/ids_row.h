#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace weft::data {

/// A document that another tool tokenised, as the row of ids and labels that passes through
/// tokenising: {"ids":[…],"labels":[…]}, with -100 for what is no target. `trained` has a value for
/// each id, 0 or 1; empty means that all are targets.
[[nodiscard]] std::string ids_row(std::span<const std::int32_t> ids,
                                  std::span<const std::uint8_t> trained);

/// The most bytes that such a row of so many ids can take.
[[nodiscard]] std::uint64_t ids_row_bytes(std::int64_t ids);

}  // namespace weft::data
