#include "data/tokenize_sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "base/text.h"
#include "data/file_patterns.h"

namespace weft::data {

namespace {

TextSplit text_split(const TokenizeInput& input) {
  if (input.sample_by == "document") {
    return TextSplit::kFile;
  }
  if (input.sample_by == "paragraph") {
    return TextSplit::kParagraph;
  }
  if (input.sample_by == "separator") {
    return TextSplit::kSeparator;
  }
  return TextSplit::kLine;
}

void check_input(const TokenizeInput& input) {
  static const std::vector<std::string> kSplits{"line", "paragraph", "document", "separator"};
  check_row_keys(input);
  if (std::find(kSplits.begin(), kSplits.end(), input.sample_by) == kSplits.end()) {
    fail_config("dataset {}: sample_by is '{}', expected one of {}", input.path.string(),
                printable(input.sample_by), join(kSplits, ", "));
  }
  if ((input.sample_by == "separator") == input.separator.empty()) {
    fail_config("dataset {}: separator goes with 'sample_by: separator'; set both or neither",
                input.path.string());
  }
  for (const auto& [key, count] :
       {std::pair{"sample", input.sample}, {"max_samples", input.max_samples}}) {
    if (count && *count < 1) {
      fail_config("dataset {}: {} is {}, expected 1 or more", input.path.string(), key, *count);
    }
  }
  if (input.sample && input.max_samples) {
    fail_config("dataset {}: sample and max_samples both limit the rows; leave one out",
                input.path.string());
  }
}

/// The "#5000" at the end of a path, which asks for a sample of that many rows, goes to `sample`.
void split_sample(FileSystem& files, TokenizeInput& input) {
  const std::string path = input.path.string();
  const std::size_t mark = path.rfind('#');
  if (mark == std::string::npos || mark == 0) {
    return;
  }
  const std::string_view digits = std::string_view(path).substr(mark + 1);
  if (digits.empty() || digits.size() > 12 ||
      digits.find_first_not_of("0123456789") != std::string_view::npos ||
      files.exists(input.path)) {
    return;
  }
  if (input.sample) {
    fail_config("dataset {}: both the path and sample say how many rows; leave one out", path);
  }
  input.sample = std::stoll(std::string(digits));
  input.path = path.substr(0, mark);
}

RowSelection select_rows(FileSystem& files, const TokenizeSource& source) {
  const TokenizeInput& input = source.input;
  if (input.max_samples) {
    return RowSelection::first(*input.max_samples);
  }
  if (!input.sample) {
    return {};
  }
  std::int64_t count = 0;
  std::uint64_t bytes = 0;
  ProgressLine progress("counting rows", source.bytes, "bytes");
  for (const fs::path& path : source.files) {
    const auto rows = open_source_rows(files, source, path);
    Row row;
    while (rows->next(row)) {
      count += is_numbered(row) ? 1 : 0;
      progress.update(bytes + rows->bytes_read());
    }
    bytes += rows->bytes_read();
  }
  if (*input.sample > count) {
    fail_data("dataset {}: has {} rows, a sample of {} was asked for; ask for fewer, or for all",
              input.path.string(), count, *input.sample);
  }
  return RowSelection::sample(*input.sample, count, static_cast<std::uint64_t>(input.sample_seed));
}

TokenizeSource resolve_input(FileSystem& files, const TokenizeInput& input,
                             const TokenizeOptions& options) {
  TokenizeSource source;
  source.input = input;
  split_sample(files, source.input);
  check_input(source.input);
  source.files = find_input_files(files, source.input.path);
  source.rows.split = text_split(input);
  source.rows.separator = input.separator;
  source.rows.max_row_bytes = options.max_row_bytes;
  source.rows.stream_tokens = options.max_length;
  for (const fs::path& path : source.files) {
    RowOptions rows = source.rows;
    rows.syntax = input_syntax(path, source.input);
    RowFormat format = find_row_format(files, path, source.input, rows);
    if (path == source.files.front()) {
      source.format = std::move(format);
    } else if (!format.same_as(source.format)) {
      fail_data(
          "dataset {}: {} and {} hold different kinds of rows; list them as two datasets, or name "
          "some of the files with a pattern",
          input.path.string(), source.files.front().string(), path.string());
    }
    source.bytes += files.open(path)->size();
  }
  source.selection = select_rows(files, source);
  return source;
}

}  // namespace

std::unique_ptr<RowReader> open_source_rows(FileSystem& files, const TokenizeSource& source,
                                            const fs::path& path) {
  RowOptions options = source.rows;
  options.syntax = input_syntax(path, source.input);
  return open_rows(files, path, options);
}

bool is_numbered(const Row& row) {
  return row.text.find_first_not_of(" \t\r\n") != std::string::npos;
}

bool RowPicker::take(const Row& row) {
  return !is_numbered(row) || source_.selection.contains(number_++);
}

std::vector<TokenizeSource> resolve_inputs(FileSystem& files, std::span<const TokenizeInput> inputs,
                                           const TokenizeOptions& options) {
  if (inputs.empty() || inputs.size() > 65'536) {
    fail_config("datasets has {} entries, expected 1 to 65536", inputs.size());
  }
  if (options.max_length && *options.max_length < 2) {
    fail_config("max_length is {}, expected 2 or more: the first token is never trained",
                *options.max_length);
  }
  std::vector<TokenizeSource> sources;
  for (const TokenizeInput& input : inputs) {
    sources.push_back(resolve_input(files, input, options));
  }
  return sources;
}

}  // namespace weft::data
