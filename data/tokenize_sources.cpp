#include "data/tokenize_sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"
#include "data/reader_lines.h"

namespace weft::data {

namespace {

bool holds_json_rows(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".jsonl" || extension == ".ndjson" || extension == ".json";
}

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

void check_choice(const TokenizeInput& input, std::string_view key, const std::string& value,
                  std::span<const std::string> choices) {
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
    fail_config("dataset {}: {} is '{}', expected one of {}", input.path.string(), key,
                printable(value), join(choices, ", "));
  }
}

void check_input(const TokenizeInput& input) {
  static const std::array<std::string, 4> kFormats{"auto", "text", "chat", "ids"};
  static const std::array<std::string, 4> kSplits{"line", "paragraph", "document", "separator"};
  check_choice(input, "format", input.format, kFormats);
  check_choice(input, "sample_by", input.sample_by, kSplits);
  if ((input.sample_by == "separator") == input.separator.empty()) {
    fail_config("dataset {}: separator goes with 'sample_by: separator'; set both or neither",
                input.path.string());
  }
  if (input.prompt_field.empty() != input.response_field.empty()) {
    fail_config("dataset {}: prompt_field and response_field go together; set both or neither",
                input.path.string());
  }
  if (!input.prompt_field.empty() && input.format != "auto" && input.format != "chat") {
    fail_config("dataset {}: prompt_field makes chats, but format is '{}'; leave format out",
                input.path.string(), input.format);
  }
}

std::vector<fs::path> find_files(FileSystem& files, const fs::path& path) {
  if (!files.exists(path)) {
    fail_data("dataset {}: no such file or folder", path.string());
  }
  if (!files.is_folder(path)) {
    return {path};
  }
  std::vector<fs::path> found;
  for (const std::string& name : files.list(path)) {
    if (name.front() != '.' && !files.is_folder(path / name)) {
      found.push_back(path / name);
    }
  }
  if (found.empty()) {
    fail_data("dataset {}: the folder holds no files (folders inside it are not looked into)",
              path.string());
  }
  return found;
}

/// The format that the first row shows; plain text rows when the file has none.
RowFormat guess_row_format(FileSystem& files, const fs::path& path, const TokenizeInput& input,
                           const TokenizeOptions& options) {
  LineReader lines(files, path, options.max_row_bytes);
  std::string line;
  while (lines.next(line)) {
    if (line.find_first_not_of(" \t") == std::string::npos) {
      continue;
    }
    const std::string name = fmt::format("{}:{}", path.string(), lines.number());
    const Json row = parse_json(line, name);
    if (!row.is_object()) {
      fail_data("{}: is not a JSON object; expected one object on each line", name);
    }
    if (row.contains("messages")) {
      return RowFormat::kChat;
    }
    if (row.contains("ids")) {
      return RowFormat::kIds;
    }
    if (row.contains(input.text_field)) {
      return RowFormat::kTextRow;
    }
    std::vector<std::string> keys;
    for (const auto& [key, value] : row.items()) {
      keys.push_back(key);
    }
    fail_data(
        "{}: cannot tell what the rows hold: found {}; expected 'messages', 'ids' with "
        "'labels', or '{}'; or set prompt_field and response_field",
        name, printable(join(keys, ", ")), input.text_field);
  }
  return RowFormat::kTextRow;
}

RowFormat row_format(FileSystem& files, const fs::path& path, const TokenizeInput& input,
                     const TokenizeOptions& options) {
  if (!input.prompt_field.empty()) {
    return RowFormat::kExchange;
  }
  if (input.format == "chat") {
    return RowFormat::kChat;
  }
  if (input.format == "ids") {
    return RowFormat::kIds;
  }
  if (!holds_json_rows(path)) {
    return RowFormat::kText;
  }
  return input.format == "text" ? RowFormat::kTextRow
                                : guess_row_format(files, path, input, options);
}

TokenizeSource resolve_input(FileSystem& files, const TokenizeInput& input,
                             const TokenizeOptions& options) {
  check_input(input);
  TokenizeSource source;
  source.input = input;
  source.files = find_files(files, input.path);
  source.format = row_format(files, source.files.front(), input, options);
  source.rows.max_row_bytes = options.max_row_bytes;
  if (source.format == RowFormat::kText) {
    source.rows.split = text_split(input);
    source.rows.separator = input.separator;
  }
  for (const fs::path& path : source.files) {
    if (row_format(files, path, input, options) != source.format) {
      fail_data("dataset {}: {} and {} hold different kinds of rows; list them as two datasets",
                input.path.string(), source.files.front().string(), path.string());
    }
    source.bytes += files.open(path)->size();
  }
  return source;
}

}  // namespace

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
