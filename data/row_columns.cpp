#include "data/row_columns.h"

#include <array>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace weft::data {

namespace {

const std::array<std::string, 15> kColumns{
    "text",        "messages",   "conversations", "tools",     "system",
    "instruction", "input",      "output",        "reasoning", "history",
    "prompt",      "completion", "chosen",        "rejected",  "label"};
const std::array<std::string, 7> kTags{"role_tag",      "content_tag", "user_tag",
                                       "assistant_tag", "system_tag",  "observation_tag",
                                       "function_tag"};

std::optional<bool> truth_of(const Json& value) {
  if (value.is_boolean()) {
    return value.get<bool>();
  }
  const std::string word = value.is_string() ? value.get<std::string>() : dump_json(value);
  if (word == "1" || word == "true" || word == "True") {
    return true;
  }
  if (word == "0" || word == "false" || word == "False") {
    return false;
  }
  return std::nullopt;
}

}  // namespace

std::span<const std::string> column_names() { return kColumns; }
std::span<const std::string> tag_names() { return kTags; }

std::string canonical_column(const std::string& name) {
  static const std::map<std::string, std::string> kOthers{
      {"query", "input"}, {"response", "output"}, {"kto_tag", "label"}};
  const auto found = kOthers.find(name);
  return found == kOthers.end() ? name : found->second;
}

std::string RowView::called(std::string_view column) const {
  const auto found = fields_.columns.find(std::string(column));
  return found == fields_.columns.end() ? std::string(column) : found->second;
}

const Json* RowView::find(std::string_view column) const {
  const std::string key = called(column);
  return key.empty() ? nullptr : json_find(row_, key);
}

const std::string& RowView::text(std::string_view column) const {
  return json_string(row_, called(column), name_);
}

std::string RowView::text_or_empty(std::string_view column) const {
  return find(column) == nullptr ? std::string() : text(column);
}

Json RowView::list(std::string_view column) const {
  const Json* value = find(column);
  if (value == nullptr) {
    return nullptr;
  }
  Json parsed;
  if (value->is_string()) {
    const std::string& text = value->get_ref<const std::string&>();
    if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
      return nullptr;
    }
    parsed = parse_json(text, fmt::format("{}: \"{}\"", name_, called(column)));
    value = &parsed;
  }
  if (!value->is_array()) {
    fail_data("{}: \"{}\" must be a list, or a string that holds one as JSON", name_,
              called(column));
  }
  return *value;
}

bool RowView::is_truth(std::string_view column) const {
  const Json* value = find(column);
  return value != nullptr && truth_of(*value).has_value();
}

bool RowView::truth(std::string_view column) const {
  const Json& value = json_member(row_, called(column), name_);
  const std::optional<bool> found = truth_of(value);
  if (!found) {
    fail_data("{}: \"{}\" is {}, expected true or false", name_, called(column),
              printable(dump_json(value)));
  }
  return *found;
}

}  // namespace weft::data
