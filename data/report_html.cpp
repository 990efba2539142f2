// The report as one page. What it shows is what report.json holds, and a few documents.
#include <fmt/format.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "data/html_page.h"
#include "data/report.h"

namespace weft::data {

namespace {

constexpr std::size_t kDigestDigits = 12;

std::string tile(std::string_view name, std::string_view value) {
  return fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, value);
}

std::string percent(double fraction) { return fmt::format("{:.1f}%", 100 * fraction); }

std::string header(const Report& report) {
  const ShardIdentity& identity = report.manifest.identity;
  const std::string model =
      report.model.empty()
          ? std::string()
          : fmt::format(" of <code>{}</code>", escape_html(visible_text(report.model)));
  return fmt::format(
      "<h1>Token shards</h1>\n<p class=\"soft\">Tokenizer <code>{}…</code>{}, fingerprint of "
      "inputs "
      "and options <code>{}…</code></p>\n",
      identity.tokenizer_sha256.substr(0, kDigestDigits), model,
      identity.fingerprint.substr(0, kDigestDigits));
}

std::string tiles(const Report& report) {
  const DocumentStatistics& total = report.statistics.total;
  std::int64_t rows = 0;
  std::int64_t dropped = 0;
  for (const SourceCounts& source : report.manifest.sources) {
    rows += source.rows;
    dropped += source.dropped;
  }
  return "<dl class=\"tiles\">\n" + tile("documents", grouped(total.counts.documents)) +
         tile("tokens", grouped(total.counts.tokens)) +
         tile("targets", fmt::format("{} ({})", grouped(total.counts.trained_tokens),
                                     percent(total.trained_fraction()))) +
         tile("rows read", grouped(rows)) + tile("rows dropped", grouped(dropped)) +
         tile("shards", grouped(std::ssize(report.manifest.shards))) + "</dl>\n";
}

std::string warnings(const Report& report) {
  if (report.warnings.empty()) {
    return {};
  }
  std::string html =
      "<section class=\"warnings\" aria-label=\"Warnings\"><h2>Worth a look</h2><ul>\n";
  for (const std::string& warning : report.warnings) {
    html += fmt::format("<li>{}</li>\n", escape_html(visible_text(warning)));
  }
  return html + "</ul></section>\n";
}

/// The columns of the table after the dataset's name.
constexpr std::array<std::pair<std::string_view, std::int64_t (*)(const SourceCounts&)>, 12>
    kColumns{{{"rows", [](const SourceCounts& s) { return s.rows; }},
              {"documents", [](const SourceCounts& s) { return s.kept.documents; }},
              {"tokens", [](const SourceCounts& s) { return s.kept.tokens; }},
              {"targets", [](const SourceCounts& s) { return s.kept.trained_tokens; }},
              {"left out", [](const SourceCounts& s) { return s.left_out; }},
              {"duplicate", [](const SourceCounts& s) { return s.duplicates; }},
              {"empty", [](const SourceCounts& s) { return s.empty; }},
              {"no target", [](const SourceCounts& s) { return s.no_target; }},
              {"over-long", [](const SourceCounts& s) { return s.overlong_dropped; }},
              {"truncated", [](const SourceCounts& s) { return s.truncated; }},
              {"split", [](const SourceCounts& s) { return s.split; }},
              {"tokens lost", [](const SourceCounts& s) { return s.tokens_lost; }}}};

std::string cell(std::int64_t value) {
  return fmt::format("<td{}>{}</td>", value == 0 ? " class=\"zero\"" : "", grouped(value));
}

std::string table(const Report& report) {
  std::string html =
      "<h2>What became of the rows</h2>\n<p class=\"soft\">Rows are what was read; documents, "
      "tokens "
      "and targets are in the shards. Empty, without a target and over-long ones were dropped; "
      "truncated and split ones were longer than max_length.</p>\n<div class=\"scroll\" "
      "tabindex=\"0\" role=\"region\" aria-label=\"Rows by dataset\"><table>\n<caption "
      "class=\"hidden\">Rows by dataset</caption>\n<thead><tr><th scope=\"col\">dataset</th>";
  for (const auto& [name, value] : kColumns) {
    html += fmt::format("<th scope=\"col\">{}</th>", name);
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const SourceCounts& source : report.manifest.sources) {
    html += fmt::format("<tr><th scope=\"row\">{}</th>", escape_html(visible_text(source.path)));
    for (const auto& [name, value] : kColumns) {
      html += cell(value(source));
    }
    html += "</tr>\n";
  }
  html += "</tbody>\n";
  if (report.manifest.sources.size() > 1) {
    html += "<tfoot><tr><th scope=\"row\">all</th>";
    for (const auto& [name, value] : kColumns) {
      std::int64_t sum = 0;
      for (const SourceCounts& source : report.manifest.sources) {
        sum += value(source);
      }
      html += cell(sum);
    }
    html += "</tr></tfoot>\n";
  }
  return html + "</table></div>\n";
}

std::string charts(const DocumentStatistics& statistics) {
  std::vector<ChartBar> lengths;
  for (const HistogramBar& bar : statistics.length_histogram()) {
    lengths.push_back({.label = bar.from == bar.to ? fmt::format("{}", bar.from)
                                                   : fmt::format("{}–{}", bar.from, bar.to),
                       .value = bar.documents});
  }
  std::vector<ChartBar> shares;
  for (std::size_t i = 0; i < statistics.trained_share.size(); ++i) {
    shares.push_back({.label = fmt::format("{}–{}%", 10 * i, 10 * (i + 1)),
                      .value = statistics.trained_share[i]});
  }
  return fmt::format(
             "<p class=\"soft\">Lengths in tokens: mean {:.0f}, median {}, 90% up to {}, 99% up to "
             "{}, longest {}. Targets: {} of the tokens.</p>\n",
             statistics.mean_length(), grouped(statistics.length_percentile(50)),
             grouped(statistics.length_percentile(90)), grouped(statistics.length_percentile(99)),
             grouped(statistics.length_percentile(100)), percent(statistics.trained_fraction())) +
         "<div class=\"charts\">" + html_chart("Documents by length in tokens", lengths) +
         html_chart("Documents by share of tokens that are targets", shares) + "</div>\n";
}

std::string sample(const ReportSample& sample, bool open) {
  return fmt::format(
      "<details{}><summary>document {}: {} tokens, {} of them targets</summary><pre "
      "class=\"document\">{}</pre></details>\n",
      open ? " open" : "", grouped(sample.document), grouped(sample.counts.tokens),
      grouped(sample.counts.trained_tokens), view_html(sample.pieces));
}

std::string source_section(const Report& report, std::size_t number) {
  const SourceCounts& counts = report.manifest.sources[number];
  std::string html = fmt::format("<section><h2>{}</h2>\n", escape_html(visible_text(counts.path)));
  if (!counts.first_dropped.empty()) {
    html += fmt::format("<p>First row dropped: <code>{}</code></p>\n",
                        escape_html(visible_text(counts.first_dropped)));
  }
  if (number >= report.statistics.sources.size() ||
      report.statistics.sources[number].counts.documents == 0) {
    return html + "<p>No document of it is in the shards.</p></section>\n";
  }
  html += charts(report.statistics.sources[number]);
  bool open = true;  // the first one
  for (const ReportSample& shown : report.samples) {
    if (shown.source == number) {
      html += sample(shown, open);
      open = false;
    }
  }
  return html + "</section>\n";
}

}  // namespace

std::string report_html(const Report& report) {
  std::string body = header(report) + tiles(report) + warnings(report) + table(report);
  for (std::size_t i = 0; i < report.manifest.sources.size(); ++i) {
    body += source_section(report, i);
  }
  body +=
      "<footer><p><span class=\"target\">Targets</span> are the tokens that training predicts; all "
      "others are only read. <span class=\"special\">Control tokens</span> are shown by name. "
      "<code>weft inspect</code> shows any document of this folder.</p></footer>\n";
  return html_page("Token shards: report", body);
}

}  // namespace weft::data
