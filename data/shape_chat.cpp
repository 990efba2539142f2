// Rows that hold a text or a whole conversation.
#include "base/error.h"
#include "data/shape_messages.h"
#include "data/shapes.h"

namespace weft::data {

namespace {

std::string_view messages_column(const RowView& row) {
  return row.find("messages") != nullptr ? "messages" : "conversations";
}

}  // namespace

bool has_text(const RowView& row) {
  const Json* text = row.find("text");
  return text != nullptr && text->is_string();
}

Sample read_text(const RowView& row) {
  std::string text = row.text("text");
  Sample sample;
  if (!text.empty()) {
    sample.parts.push_back({.conversation = nullptr, .prompt = {}, .text = std::move(text)});
  }
  return sample;
}

bool has_chat(const RowView& row) {
  return row.find("messages") != nullptr || row.find("conversations") != nullptr;
}

Sample read_chat(const RowView& row) {
  const std::string column = row.called(messages_column(row));
  const Json list = row.list(messages_column(row));
  if (list.is_null()) {
    fail_data("{}: \"{}\" is missing, null or empty; expected a list of messages", row.name(),
              column);
  }
  if (list.empty()) {
    fail_data("{}: \"{}\" is an empty list", row.name(), column);
  }
  Json messages = read_messages(list, row.fields(), fmt::format("{}: {}", row.name(), column));
  Sample sample;
  sample.parts.push_back(
      {.conversation = make_conversation(row, std::move(messages)), .prompt = {}, .text = {}});
  return sample;
}

}  // namespace weft::data
