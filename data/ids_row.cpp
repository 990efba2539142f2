#include "data/ids_row.h"

#include <fmt/format.h>

#include <iterator>

namespace weft::data {

std::string ids_row(std::span<const std::int32_t> ids, std::span<const std::uint8_t> trained) {
  constexpr int kIgnored = -100;  // PyTorch's ignore_index
  std::string text = "{\"ids\":[";
  auto out = std::back_inserter(text);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    fmt::format_to(out, "{}{}", i == 0 ? "" : ",", ids[i]);
  }
  text += "],\"labels\":[";
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const bool is_target = trained.empty() || trained[i] != 0;
    fmt::format_to(out, "{}{}", i == 0 ? "" : ",", is_target ? ids[i] : kIgnored);
  }
  text += "]}";
  return text;
}

std::uint64_t ids_row_bytes(std::int64_t ids) {
  // Ten digits and a comma, twice.
  return 22 * static_cast<std::uint64_t>(ids) + 32;
}

}  // namespace weft::data
