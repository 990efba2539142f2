// Rows that compare two answers, or judge one.
#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/shape_messages.h"
#include "data/shapes.h"

namespace weft::data {

namespace {

/// A message alone, or a list of them, as a list.
Json answer_messages(const RowView& row, std::string_view column) {
  const Json& value = json_member(row.row(), row.called(column), row.name());
  const std::string where = fmt::format("{}: {}", row.name(), row.called(column));
  if (value.is_string()) {
    return Json::array({Json{{"role", "assistant"}, {"content", value}}});
  }
  if (!value.is_object() && !value.is_array()) {
    fail_data("{}: must be a string, a message or a list of messages", where);
  }
  return read_messages(value.is_object() ? Json::array({value}) : value, row.fields(), where);
}

std::string answer_text(const RowView& row, std::string_view column) {
  return json_string(row.row(), row.called(column), row.name());
}

/// How much two texts share at the start, up to the end of a word and of a character.
std::size_t shared_prefix(std::string_view a, std::string_view b) {
  const auto parting = std::mismatch(
      a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin());
  auto size = static_cast<std::size_t>(parting.first - a.begin());
  while (size > 0 && size < a.size() && (static_cast<unsigned char>(a[size]) & 0xC0) == 0x80) {
    --size;
  }
  if (size > 0 && a[size - 1] == ' ') {
    --size;  // a word's space belongs to it, as tokenizers have it
  }
  return size;
}

Sample text_pair(std::string_view prompt, std::string_view chosen, std::string_view rejected) {
  Sample sample;
  for (const std::string_view text : {chosen, rejected}) {
    sample.parts.push_back(
        {.conversation = nullptr, .prompt = std::string(prompt), .text = std::string(text)});
  }
  return sample;
}

/// Two conversations: `prompt`, which may be empty, and then each answer. What the answers share
/// at the start goes to the prompt when there is none.
Sample chat_pair(const RowView& row, Json prompt, Json chosen, Json rejected) {
  if (prompt.empty()) {
    const std::size_t most = std::min(chosen.size(), rejected.size());
    std::size_t shared = 0;
    while (shared < most && chosen[shared] == rejected[shared]) {
      prompt.push_back(chosen[shared++]);
    }
    const auto count = static_cast<std::ptrdiff_t>(shared);
    chosen.erase(chosen.begin(), chosen.begin() + count);
    rejected.erase(rejected.begin(), rejected.begin() + count);
  }
  if (chosen.empty() || rejected.empty()) {
    fail_data("{}: \"{}\" and \"{}\" do not differ in an answer", row.name(), row.called("chosen"),
              row.called("rejected"));
  }
  Sample sample;
  prompt = as_context(std::move(prompt));
  for (Json* answer : {&chosen, &rejected}) {
    Json messages = prompt;
    for (Json& message : *answer) {
      messages.push_back(std::move(message));
    }
    sample.parts.push_back(
        {.conversation = make_conversation(row, std::move(messages)), .prompt = {}, .text = {}});
  }
  return sample;
}

/// The messages before the answers, where a column has them apart.
Json prompt_messages(const RowView& row) {
  for (const char* column : {"messages", "conversations", "prompt"}) {
    const Json* value = row.find(column);
    if (value != nullptr && value->is_array()) {
      return read_messages(*value, row.fields(),
                           fmt::format("{}: {}", row.name(), row.called(column)));
    }
  }
  return row.find("instruction") != nullptr ? alpaca_question(row) : Json::array();
}

}  // namespace

bool has_preference(const RowView& row) {
  return row.find("chosen") != nullptr && row.find("rejected") != nullptr;
}

Sample read_preference(const RowView& row) {
  const bool texts = json_member(row.row(), row.called("chosen"), row.name()).is_string() &&
                     json_member(row.row(), row.called("rejected"), row.name()).is_string();
  Json prompt = prompt_messages(row);
  if (!texts || !prompt.empty()) {
    // A prompt that is a string beside conversations repeats what they begin with.
    return chat_pair(row, std::move(prompt), answer_messages(row, "chosen"),
                     answer_messages(row, "rejected"));
  }
  const std::string chosen = answer_text(row, "chosen");
  const std::string rejected = answer_text(row, "rejected");
  if (chosen == rejected) {
    fail_data("{}: \"{}\" and \"{}\" are the same", row.name(), row.called("chosen"),
              row.called("rejected"));
  }
  if (row.find("prompt") != nullptr) {
    return text_pair(row.text("prompt"), chosen, rejected);
  }
  const std::size_t shared = shared_prefix(chosen, rejected);
  return text_pair(std::string_view(chosen).substr(0, shared),
                   std::string_view(chosen).substr(shared),
                   std::string_view(rejected).substr(shared));
}

bool has_judgement(const RowView& row) {
  return row.is_truth("label") && (has_completion(row) || has_chat(row) || has_alpaca(row));
}

Sample read_judgement(const RowView& row) {
  const bool desirable = row.truth("label");
  Sample sample = has_completion(row) ? read_completion(row)
                  : has_chat(row)     ? read_chat(row)
                                      : read_alpaca(row);
  sample.desirable = desirable;
  if (!has_completion(row) && !sample.parts.empty()) {
    Json& messages = sample.parts[0].conversation["messages"];
    Json last = messages.back();
    messages = as_context(std::move(messages));
    messages.back() = std::move(last);
  }
  return sample;
}

}  // namespace weft::data
