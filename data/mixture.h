#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace weft::data {

/// Shares of `total` in proportion to `weights` (each above 0): the whole parts, and what is left
/// goes to the largest remainders, at a tie to the earlier one (Hamilton's method). They add up to
/// `total`.
[[nodiscard]] std::vector<std::int64_t> mixture_counts(std::int64_t total,
                                                       std::span<const double> weights);

/// The documents of an epoch of several sources mixed by weight, in the order to read them; source
/// s has the documents first[s] .. first[s+1]. An epoch has as many documents as all sources
/// together, of which a source gives its mixture_counts.
///
/// A source is read round and round across epochs, each round in an order of its own: no document
/// is given a k+2nd time before all of its source have been given k+1 times. Where a source stands
/// follows from the number of the epoch; nothing has to be remembered. Shuffled, the epoch is in
/// random order; else every source is spread evenly over it and keeps its own order.
[[nodiscard]] std::vector<std::int64_t> mixture_epoch(std::span<const std::int64_t> first,
                                                      std::span<const double> weights, bool shuffle,
                                                      std::uint64_t seed, std::int64_t epoch);

}  // namespace weft::data
