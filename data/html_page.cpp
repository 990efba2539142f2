#include "data/html_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/document_view.h"

namespace weft::data {

namespace {

constexpr std::string_view kStyle = R"css(
:root { color-scheme: light dark; --ground: #fff; --card: #f6f7f9; --ink: #1c2430; --soft: #5b6675;
  --line: #d9dee5; --bar: #3b6fb6; --target: #c9efd2; --special: #7a3fa3; --warn: #fff3d6;
  --warn-line: #d9a300; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181f; --card: #1c222b; --ink: #e4e8ee;
  --soft: #9aa5b4; --line: #333c49; --bar: #7aa7e8; --target: #1d4a2c; --special: #cf9bf2;
  --warn: #3a300f; --warn-line: #d9a300; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 70rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; overflow-wrap: anywhere; }
p.soft, figcaption, .gap, dt, footer { color: var(--soft); }
code { font: .9em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
dl.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .75rem;
  margin: 1.5rem 0; }
dl.tiles div { background: var(--card); border-radius: .5rem; padding: .75rem 1rem; }
dl.tiles dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
.warnings { background: var(--warn); border-left: .25rem solid var(--warn-line);
  border-radius: .25rem; padding: .75rem 1rem; }
.warnings h2 { margin: 0 0 .25rem; }
.warnings ul { margin: 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .85rem;
  width: 100%; }
caption { text-align: left; color: var(--soft); padding-bottom: .5rem; }
th, td { padding: .35rem .4rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
thead th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 10rem; }
tbody th { font-weight: 500; }
tfoot td, tfoot th { border-bottom: 0; font-weight: 600; }
td.zero { color: var(--soft); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; }
figcaption { font-size: .9rem; margin-bottom: .25rem; }
svg { width: 100%; height: auto; display: block; }
svg rect { fill: var(--bar); }
svg line { stroke: var(--line); }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
details { margin: .5rem 0; border: 1px solid var(--line); border-radius: .5rem; }
summary { cursor: pointer; padding: .5rem .75rem; color: var(--soft); font-size: .9rem; }
pre.document { margin: 0; padding: .75rem; border-top: 1px solid var(--line); white-space: pre-wrap;
  overflow-wrap: anywhere; font: .85rem/1.6 ui-monospace, "DejaVu Sans Mono", monospace; }
.target { background: var(--target); border-radius: .15rem; }
.special { color: var(--special); font-weight: 600; }
.token { outline: 1px solid var(--line); outline-offset: -1px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
footer { margin-top: 3rem; font-size: .9rem; }
@media print { details { break-inside: avoid; } }
)css";

constexpr double kWidth = 480;
constexpr double kHeight = 170;
constexpr double kTop = 18;     // for the largest value
constexpr double kBottom = 22;  // for the labels below

std::string chart_table(std::string_view caption, const std::vector<ChartBar>& bars) {
  std::string html = fmt::format(
      "<table class=\"hidden\"><caption>{}</caption><thead><tr><th scope=\"col\">range</th>"
      "<th scope=\"col\">documents</th></tr></thead><tbody>",
      escape_html(caption));
  for (const ChartBar& bar : bars) {
    html += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape_html(bar.label),
                        grouped(bar.value));
  }
  return html + "</tbody></table>";
}

std::string axis_label(double x, std::string_view anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"{}\">{}</text>", x, kHeight - 5,
                     anchor, escape_html(text));
}

}  // namespace

std::string grouped(std::int64_t number) {
  const std::string digits = fmt::format("{}", number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const std::size_t left = digits.size() - i;
    if (left % 3 == 0 && i > (number < 0 ? 1U : 0U)) {
      text += ',';
    }
    text += digits[i];
  }
  return text;
}

std::string html_chart(std::string_view caption, const std::vector<ChartBar>& bars) {
  const auto tallest =
      std::max_element(bars.begin(), bars.end(),
                       [](const ChartBar& a, const ChartBar& b) { return a.value < b.value; });
  const std::int64_t largest =
      tallest == bars.end() ? 1 : std::max<std::int64_t>(tallest->value, 1);
  const double ground = kHeight - kBottom;
  const double step = kWidth / static_cast<double>(std::max<std::size_t>(bars.size(), 1));
  std::string svg = fmt::format(
      "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {} {}\" aria-hidden=\"true\">"
      "<line x1=\"0\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>",
      escape_html(caption), kWidth, kHeight, kWidth, ground, ground);
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const double share = static_cast<double>(bars[i].value) / static_cast<double>(largest);
    // A bar that is not empty is to be seen.
    const double height = bars[i].value == 0 ? 0 : std::max(1.5, share * (ground - kTop));
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"><title>{}: {}</title>"
        "</rect>",
        static_cast<double>(i) * step + 1, ground - height, std::max(step - 2, 0.5), height,
        escape_html(bars[i].label), grouped(bars[i].value));
    if (&bars[i] == &*tallest) {
      const double x = std::clamp((static_cast<double>(i) + 0.5) * step, 24.0, kWidth - 24);
      svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>", x,
                         kTop - 5, grouped(bars[i].value));
    }
  }
  if (!bars.empty()) {
    svg += axis_label(0, "start", bars.front().label);
    if (bars.size() > 2) {
      const std::size_t middle = bars.size() / 2;
      svg += axis_label((static_cast<double>(middle) + 0.5) * step, "middle", bars[middle].label);
    }
    svg += axis_label(kWidth, "end", bars.back().label);
  }
  return svg + "</svg>" + chart_table(caption, bars) + "</figure>";
}

std::string html_page(std::string_view title, std::string_view body) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
      "<title>{}</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n{}\n</main>\n</body>\n"
      "</html>\n",
      escape_html(title), kStyle, body);
}

}  // namespace weft::data
