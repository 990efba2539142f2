#include "data/tokenize_guess.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace weft::data {

namespace {

bool wants_chats(const TokenizeInput& input) {
  return input.format == "auto" || input.format == "chat" || input.format == "alpaca" ||
         input.format == "kto";
}

void check_choice(const TokenizeInput& input, std::string_view key, const std::string& value,
                  std::span<const std::string> choices) {
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
    fail_config("dataset {}: {} is '{}', expected one of {}", input.path.string(), key,
                printable(value), join(choices, ", "));
  }
}

/// The keys of a map must be known, and each name in the data is used once.
void check_map(const TokenizeInput& input, std::string_view key,
               const std::map<std::string, std::string>& map, std::span<const std::string> known) {
  std::vector<std::string> taken;
  for (const auto& [name, value] : map) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string near = nearest_name(name, known);
      fail_config("dataset {}: {} has the unknown key '{}'{}; expected {}", input.path.string(),
                  key, printable(name), near.empty() ? "" : ", did you mean '" + near + "'?",
                  join(known, ", "));
    }
    if (!value.empty() && std::find(taken.begin(), taken.end(), value) != taken.end()) {
      fail_config("dataset {}: {} names '{}' twice", input.path.string(), key, printable(value));
    }
    taken.push_back(value);
  }
}

std::string keys_of(const Json& row) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : row.items()) {
    keys.push_back(key);
  }
  return printable(join(keys, ", "));
}

RowFormat guess_from(const Json& row, const TokenizeInput& input, const std::string& name) {
  if (!row.is_object()) {
    fail_data("{}: is not a JSON object; expected one object on each line", name);
  }
  const RowFields fields = row_fields(input);
  if (row.contains("ids") && fields.columns.empty()) {
    return {RowFormat::Kind::kIds, nullptr, keys_of(row)};
  }
  if (const RowShape* shape = guess_shape(RowView(row, fields, name))) {
    return {RowFormat::Kind::kShape, shape, keys_of(row)};
  }
  std::string expected;
  for (const RowShape& shape : row_shapes()) {
    expected += fmt::format("{} ({}), ", shape.columns, shape.name);
  }
  fail_data(
      "{}: cannot tell what the rows hold: found {}; expected {}ids, labels (ids); say which "
      "column is which with columns: {{instruction: …, output: …}} or prompt_field and "
      "response_field",
      name, keys_of(row), expected);
}

/// A first row that is no JSON is often a file that is laid out for people.
Json parse_first(const std::string& text, const std::string& name) {
  try {
    return parse_json(text, name);
  } catch (const Error& error) {
    fail_data("{}; expected one JSON object on each line, or one array of objects", error.what());
  }
}

}  // namespace

std::string_view RowFormat::name() const {
  switch (kind) {
    case Kind::kText:
      return "text";
    case Kind::kIds:
      return "ids";
    case Kind::kShape:
      break;
  }
  return shape->name;
}

std::string RowFormat::description(std::string_view dataset) const {
  const std::string_view meaning =
      kind == Kind::kIds ? "ids and labels made elsewhere: labels other than -100 are trained on"
                         : shape->meaning;
  return fmt::format("{}: read as {} (its rows have {}): {}", dataset, name(), guessed_from,
                     meaning);
}

void check_row_keys(const TokenizeInput& input) {
  static const std::vector<std::string> kFormats{"auto",       "text",   "chat",
                                                 "sharegpt",   "alpaca", "prompt_completion",
                                                 "preference", "kto",    "ids"};
  static const std::vector<std::string> kPreferences{"pair", "chosen"};
  check_choice(input, "format", input.format, kFormats);
  check_choice(input, "preference", input.preference, kPreferences);
  check_map(input, "columns", input.fields.columns, column_names());
  check_map(input, "tags", input.fields.tags, tag_names());
  if (input.prompt_field.empty() != input.response_field.empty()) {
    fail_config("dataset {}: prompt_field and response_field go together; set both or neither",
                input.path.string());
  }
  if (input.prompt_field.empty()) {
    return;
  }
  if (!wants_chats(input)) {
    fail_config("dataset {}: prompt_field makes chats, but format is '{}'; leave format out",
                input.path.string(), input.format);
  }
  if (input.fields.columns.contains("instruction") || input.fields.columns.contains("output")) {
    fail_config("dataset {}: prompt_field and columns both name the question; leave one out",
                input.path.string());
  }
}

RowFields row_fields(const TokenizeInput& input) {
  RowFields fields = input.fields;
  if (input.text_field != "text") {
    fields.columns.try_emplace("text", input.text_field);
  }
  if (!input.prompt_field.empty()) {
    fields.columns["instruction"] = input.prompt_field;
    fields.columns["output"] = input.response_field;
    // Two columns were named; others that happen to have Alpaca's names are not meant.
    for (const char* other : {"input", "history", "system", "tools", "reasoning"}) {
      fields.columns.try_emplace(other, "");
    }
  }
  return fields;
}

FileSyntax input_syntax(const fs::path& path, const TokenizeInput& input) {
  const FileSyntax syntax = file_syntax(path);
  const bool text =
      input.format == "text" ||
      (input.format == "auto" && input.prompt_field.empty() && input.fields.columns.empty());
  return syntax == FileSyntax::kText && !text ? FileSyntax::kJson : syntax;
}

RowFormat find_row_format(FileSystem& files, const fs::path& path, const TokenizeInput& input,
                          const RowOptions& options) {
  using Kind = RowFormat::Kind;
  if (options.syntax == FileSyntax::kText) {
    return {Kind::kText, nullptr};
  }
  if (!input.prompt_field.empty()) {
    return {Kind::kShape, find_shape(input.format == "kto" ? "kto" : "alpaca")};
  }
  if (input.format == "ids") {
    return {Kind::kIds, nullptr};
  }
  if (input.format != "auto") {
    return {Kind::kShape, find_shape(input.format == "sharegpt" ? "chat" : input.format)};
  }
  const std::unique_ptr<RowReader> rows = open_rows(files, path, options);
  Row first;
  if (!rows->next(first)) {
    return {Kind::kShape, find_shape("text")};
  }
  const std::string name = fmt::format("{}:{}", path.string(), first.line);
  return guess_from(parse_first(first.text, name), input, name);
}

}  // namespace weft::data
