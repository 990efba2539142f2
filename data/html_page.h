#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::data {

/// A bar of a chart, with the words that a pointer over it and a screen reader get.
struct ChartBar {
  std::string label;
  std::int64_t value = 0;
};

/// A whole page: `title` as text, `body` as HTML. Its style is in it, light or dark as the reader
/// has it; it loads nothing, and a policy in it forbids it to.
[[nodiscard]] std::string html_page(std::string_view title, std::string_view body);

/// A bar chart as inline SVG, under `caption` (text). The values are in a table for those who
/// cannot see it.
[[nodiscard]] std::string html_chart(std::string_view caption, const std::vector<ChartBar>& bars);

/// "1,234,567".
[[nodiscard]] std::string grouped(std::int64_t number);

}  // namespace weft::data
