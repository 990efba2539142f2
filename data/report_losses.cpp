// What the counts of a report say about likely mistakes, and when that is an error.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/report.h"

namespace weft::data {

namespace {

constexpr double kMany = 0.05;        // of the rows: worth a line
constexpr double kFewTargets = 0.01;  // of the tokens

double fraction(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// "12.3%", "<0.1%".
std::string percent(double fraction) {
  return fraction > 0 && fraction < 0.001 ? "<0.1%" : fmt::format("{:.1f}%", 100 * fraction);
}

/// The cause of most of what was dropped, and what to do about it.
std::string main_cause(const SourceCounts& source) {
  if (source.no_target >= source.empty && source.no_target >= source.overlong_dropped) {
    return "no token of most is a target; do the chats end with an assistant message, and are the "
           "roles and field names right?";
  }
  if (source.empty >= source.overlong_dropped) {
    return "most hold no text; are they blank lines, or is the right field read (text_field, "
           "prompt_field, response_field)?";
  }
  return "most are longer than max_length; raise it, or set overlong to truncate or split";
}

std::string losses(const SourceCounts& source) {
  std::vector<std::string> parts;
  for (const auto& [count, what] :
       {std::pair{source.empty, "empty"}, std::pair{source.no_target, "without a target"},
        std::pair{source.overlong_dropped, "over max_length"}}) {
    if (count > 0) {
      parts.push_back(fmt::format("{} {}", count, what));
    }
  }
  return parts.empty() ? std::string() : fmt::format(" ({})", join(parts, ", "));
}

void warn_of_rows(const SourceCounts& source, std::vector<std::string>& warnings) {
  const double share = dropped_fraction(source);
  if (source.rows == 0) {
    warnings.push_back(fmt::format("{}: holds no rows; is the path right?", source.path));
  } else if (share >= kMany) {
    warnings.push_back(fmt::format("{}: {} of {} rows ({}) were dropped{}: {}", source.path,
                                   source.dropped, source.rows, percent(share), losses(source),
                                   main_cause(source)));
  }
  const double cut = fraction(source.truncated + source.split, source.rows);
  if (cut >= kMany) {
    warnings.push_back(
        fmt::format("{}: {} of {} rows ({}) are longer than max_length and were {}; raise "
                    "max_length to keep them whole",
                    source.path, source.truncated + source.split, source.rows, percent(cut),
                    source.truncated >= source.split ? "cut" : "split"));
  }
  const double repeated = fraction(source.duplicates, source.rows);
  if (repeated >= kMany) {
    warnings.push_back(fmt::format("{}: {} of {} rows ({}) repeat an earlier row and were dropped",
                                   source.path, source.duplicates, source.rows, percent(repeated)));
  }
}

void warn_of_targets(const SourceCounts& source, std::vector<std::string>& warnings) {
  const double trained = fraction(source.kept.trained_tokens, source.kept.tokens);
  if (source.kept.documents > 0 && trained < kFewTargets) {
    warnings.push_back(
        fmt::format("{}: only {} of the tokens are targets; is the right part of the rows trained?",
                    source.path, percent(trained)));
  }
}

}  // namespace

std::vector<std::string> report_warnings(const std::vector<SourceCounts>& sources,
                                         const ShardStatistics& statistics) {
  std::vector<std::string> warnings;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    warn_of_rows(sources[i], warnings);
    warn_of_targets(sources[i], warnings);
    if (i < statistics.sources.size() && statistics.sources[i].counts.documents > 1 &&
        statistics.sources[i].lengths.size() == 1) {
      warnings.push_back(fmt::format(
          "{}: all documents have the same length ({} tokens); is it padded or cut already?",
          sources[i].path, statistics.sources[i].lengths.begin()->first));
    }
  }
  return warnings;
}

void check_losses(const std::vector<SourceCounts>& sources, const LossLimits& limits) {
  for (const SourceCounts& source : sources) {
    if (source.rows == 0 && limits.max_dropped_fraction < 1) {
      fail_data(
          "dataset {}: holds no rows; is the path right? Set max_dropped_fraction to 1 if this is "
          "meant",
          source.path);
    }
    const std::string first =
        source.first_dropped.empty() ? "" : fmt::format(", the first at {}", source.first_dropped);
    if (const double share = dropped_fraction(source); share > limits.max_dropped_fraction) {
      fail_data(
          "dataset {}: {} of its {} rows were dropped{}{}, over max_dropped_fraction {}: {}. Mend "
          "the data or the options, or raise max_dropped_fraction if this is meant",
          source.path, percent(share), source.rows, losses(source), first,
          limits.max_dropped_fraction, main_cause(source));
    }
    const double cut = fraction(source.truncated + source.split, source.rows);
    if (cut > limits.max_truncated_fraction) {
      fail_data(
          "dataset {}: {} of its {} rows were cut or split at max_length, over "
          "max_truncated_fraction {}: raise max_length, drop what is longer (overlong: drop), or "
          "raise max_truncated_fraction if this is meant",
          source.path, percent(cut), source.rows, limits.max_truncated_fraction);
    }
  }
}

}  // namespace weft::data
