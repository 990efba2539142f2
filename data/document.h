#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

namespace weft::data {

/// One training document: token ids and which of them are targets.
///
/// mask[i] is 1 when ids[i] is a target, that is, predicted from ids[0..i-1]; ids[0] has nothing
/// before it, so mask[0] is always 0. Both vectors have the same length.
struct Document {
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> mask;
  std::uint16_t source = 0;      ///< which dataset it came from, counted in the order of the config
  std::int8_t label = kNoLabel;  ///< whether its answer was judged good, where rows say so

  static constexpr std::int8_t kNoLabel = -1;
  static constexpr std::int8_t kUndesirable = 0;
  static constexpr std::int8_t kDesirable = 1;

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(ids.size()); }
  [[nodiscard]] std::int64_t trained_tokens() const {
    return std::accumulate(mask.begin(), mask.end(), std::int64_t{0});
  }
};

}  // namespace weft::data
