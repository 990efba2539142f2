#include "data/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace weft::data {

namespace {

constexpr std::int64_t kReportVersion = 1;
constexpr std::string_view kReportFormat = "weft.report";
constexpr std::int64_t kSampleTokens = 320;

Json histogram_json(const std::vector<HistogramBar>& bars) {
  Json list = Json::array();
  for (const HistogramBar& bar : bars) {
    list.push_back({{"from", bar.from}, {"to", bar.to}, {"documents", bar.documents}});
  }
  return list;
}

Json statistics_json(const DocumentStatistics& statistics) {
  Json lengths = {{"mean", statistics.mean_length()}};
  for (const auto& [name, percent] :
       {std::pair{"min", 0.0}, std::pair{"p10", 10.0}, std::pair{"p50", 50.0},
        std::pair{"p90", 90.0}, std::pair{"p99", 99.0}, std::pair{"max", 100.0}}) {
    lengths[name] = statistics.length_percentile(percent);
  }
  lengths["histogram"] = histogram_json(statistics.length_histogram());
  Json share = {{"mean", statistics.trained_fraction()}, {"histogram", Json::array()}};
  for (const std::int64_t documents : statistics.trained_share) {
    share["histogram"].push_back(documents);
  }
  return {{"lengths", std::move(lengths)}, {"trained_share", std::move(share)}};
}

/// The numbers of a source's first, middle and last document.
std::vector<std::int64_t> sample_numbers(const std::vector<std::int64_t>& of_source) {
  std::vector<std::int64_t> numbers;
  const std::size_t size = of_source.size();
  for (const std::size_t i : {std::size_t{0}, size / 2, size - 1}) {
    if (size > 0 && (numbers.empty() || numbers.back() != of_source[i])) {
      numbers.push_back(of_source[i]);
    }
  }
  return numbers;
}

std::vector<ReportSample> make_samples(const ShardSet& set, const Tokenizer* tokenizer) {
  std::vector<std::vector<std::int64_t>> of_source(set.manifest().sources.size());
  for (std::int64_t i = 0; i < set.documents(); ++i) {
    const std::size_t source = set.source(i);
    of_source.resize(std::max(of_source.size(), source + 1));
    of_source[source].push_back(i);
  }
  std::vector<ReportSample> samples;
  for (const auto& numbers : of_source) {
    for (const std::int64_t number : sample_numbers(numbers)) {
      const Document document = set.document(number);
      samples.push_back(
          {.document = number,
           .source = document.source,
           .counts = {.documents = 1,
                      .tokens = document.size(),
                      .trained_tokens = document.trained_tokens()},
           .pieces = view_document(document, tokenizer, {.max_tokens = kSampleTokens})});
    }
  }
  return samples;
}

}  // namespace

const Tokenizer* tokenizer_for_text(const Tokenizer& tokenizer) {
  try {
    (void)tokenizer.token_bytes(0);
    return &tokenizer;
  } catch (const Error&) {
    return nullptr;
  }
}

Report make_report(const ShardSet& set, const Tokenizer& tokenizer, std::string model) {
  Report report{.model = std::move(model),
                .manifest = set.manifest(),
                .statistics = shard_statistics(set),
                .warnings = {},
                .samples = make_samples(set, tokenizer_for_text(tokenizer))};
  report.warnings = report_warnings(report.manifest.sources, report.statistics);
  return report;
}

Json report_json(const Report& report) {
  const Manifest& manifest = report.manifest;
  const ShardCounts totals = manifest.totals();
  Json json = {{"format", kReportFormat},
               {"version", kReportVersion},
               {"model", report.model},
               {"tokenizer_sha256", manifest.identity.tokenizer_sha256},
               {"fingerprint", manifest.identity.fingerprint},
               {"documents", totals.documents},
               {"tokens", totals.tokens},
               {"trained_tokens", totals.trained_tokens},
               {"shards", manifest.shards.size()},
               {"warnings", report.warnings}};
  json.update(statistics_json(report.statistics.total));
  json["sources"] = Json::array();
  for (std::size_t i = 0; i < manifest.sources.size(); ++i) {
    Json source = to_json(manifest.sources[i]);
    if (i < report.statistics.sources.size()) {
      source.update(statistics_json(report.statistics.sources[i]));
    }
    json["sources"].push_back(std::move(source));
  }
  return json;
}

void write_report(FileSystem& files, const fs::path& folder, const Report& report) {
  write_synced(files, folder / kReportName, dump_json_pretty(report_json(report)) + "\n");
  write_synced(files, folder / kReportPageName, report_html(report));
}

std::string reported_model(FileSystem& files, const fs::path& folder) {
  const fs::path path = folder / kReportName;
  if (!files.exists(path)) {
    return {};
  }
  const Json json = read_json(files, path);
  const Json* model = json.is_object() ? json_find(json, "model") : nullptr;
  return model != nullptr && model->is_string() ? model->get<std::string>() : std::string();
}

double dropped_fraction(const SourceCounts& source) {
  const std::int64_t wanted = source.rows - source.left_out - source.duplicates;
  return wanted <= 0 ? 0 : static_cast<double>(source.dropped) / static_cast<double>(wanted);
}

}  // namespace weft::data
