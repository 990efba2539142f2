#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/json.h"
#include "data/document_view.h"
#include "data/manifest.h"
#include "data/shard_set.h"
#include "data/shard_statistics.h"
#include "data/tokenizer.h"

namespace weft::data {

inline constexpr std::string_view kReportName = "report.json";
inline constexpr std::string_view kReportPageName = "report.html";

/// A document shown in a report.
struct ReportSample {
  std::int64_t document = 0;  ///< its number in the folder of shards
  std::uint16_t source = 0;
  ShardCounts counts;  ///< of this document
  std::vector<ViewPiece> pieces;
};

/// Everything that a report says of a folder of shards. It depends on the shards, the manifest and
/// `model` alone: no times, so that a run that was stopped and resumed reports the same.
struct Report {
  std::string model;  ///< the model folder whose tokenizer made the shards; may be ""
  Manifest manifest;
  ShardStatistics statistics;
  std::vector<std::string> warnings;  ///< likely mistakes, most important first
  std::vector<ReportSample> samples;
};

/// Reads all masks and, of each source, its first, middle and last document. Without a tokenizer
/// that knows texts the samples show ids.
[[nodiscard]] Report make_report(const ShardSet& set, const Tokenizer& tokenizer,
                                 std::string model);

/// `tokenizer`, or nullptr when it knows ids alone and can show no text.
[[nodiscard]] const Tokenizer* tokenizer_for_text(const Tokenizer& tokenizer);

/// What the counts say about mistakes that people make: rows without a target, documents over
/// max_length, wrong field names, everything masked. `statistics` may be empty.
[[nodiscard]] std::vector<std::string> report_warnings(const std::vector<SourceCounts>& sources,
                                                       const ShardStatistics& statistics);

/// The content of report.json; docs/data.md describes it.
[[nodiscard]] Json report_json(const Report& report);

/// The content of report.html: one page that needs no other file and no network.
[[nodiscard]] std::string report_html(const Report& report);

/// Writes both files, synced, into `folder`, which is not published yet.
void write_report(FileSystem& files, const fs::path& folder, const Report& report);

/// The model folder that FOLDER/report.json names, or "" where it says nothing.
[[nodiscard]] std::string reported_model(FileSystem& files, const fs::path& folder);

/// How much of a dataset may be lost before that is an error.
struct LossLimits {
  double max_dropped_fraction = 0.99;   ///< of its rows: empty, without a target or over max_length
  double max_truncated_fraction = 1.0;  ///< of its rows: cut or split at max_length
};

/// Of the rows that were to be kept (not left out, no duplicates), the dropped ones, 0 to 1.
[[nodiscard]] double dropped_fraction(const SourceCounts& source);

/// A data Error when a source has no rows or lost more than `limits` allow, that says how much,
/// why, and what to do.
void check_losses(const std::vector<SourceCounts>& sources, const LossLimits& limits);

}  // namespace weft::data
