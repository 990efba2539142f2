// Rows with an instruction and an answer, and answers after a prompt.
#include <utility>

#include "base/error.h"
#include "data/shape_messages.h"
#include "data/shapes.h"

namespace weft::data {

namespace {

Json message(const char* role, std::string content) {
  return {{"role", role}, {"content", std::move(content)}};
}

/// [["question", "answer"], …] as messages.
Json read_history(const RowView& row) {
  Json messages = Json::array();
  const Json history = row.list("history");
  for (const Json& turn : history) {
    if (!turn.is_array() || turn.size() != 2 || !turn[0].is_string() || !turn[1].is_string()) {
      fail_data("{}: \"{}\" must be a list of pairs of strings, a question and its answer",
                row.name(), row.called("history"));
    }
    messages.push_back(message("user", turn[0].get<std::string>()));
    messages.push_back(message("assistant", turn[1].get<std::string>()));
  }
  return messages;
}

bool is_text_or_messages(const Json* value) {
  return value != nullptr && (value->is_string() || value->is_array());
}

}  // namespace

Json alpaca_question(const RowView& row) {
  std::string question = row.text("instruction");
  if (const std::string input = row.text_or_empty("input"); !input.empty()) {
    question += (question.empty() ? "" : "\n") + input;
  }
  Json messages = read_history(row);
  messages.push_back(message("user", std::move(question)));
  return messages;
}

bool has_alpaca(const RowView& row) {
  return row.find("instruction") != nullptr && row.find("output") != nullptr;
}

Sample read_alpaca(const RowView& row) {
  Json messages = alpaca_question(row);
  Json answer = message("assistant", row.text("output"));
  Sample sample;
  const bool nothing = messages.size() == 1 && messages[0]["content"] == "";
  if (nothing && answer["content"] == "") {
    return sample;
  }
  if (std::string reasoning = row.text_or_empty("reasoning"); !reasoning.empty()) {
    answer["reasoning_content"] = std::move(reasoning);
  }
  messages.push_back(std::move(answer));
  sample.parts.push_back(
      {.conversation = make_conversation(row, std::move(messages)), .prompt = {}, .text = {}});
  return sample;
}

bool has_completion(const RowView& row) {
  return is_text_or_messages(row.find("prompt")) && is_text_or_messages(row.find("completion"));
}

Sample read_completion(const RowView& row) {
  const Json& prompt = json_member(row.row(), row.called("prompt"), row.name());
  const Json& completion = json_member(row.row(), row.called("completion"), row.name());
  Sample sample;
  if (prompt.is_string() && completion.is_string()) {
    if (!completion.get_ref<const std::string&>().empty()) {
      sample.parts.push_back({.conversation = nullptr,
                              .prompt = prompt.get<std::string>(),
                              .text = completion.get<std::string>()});
    }
    return sample;
  }
  if (!prompt.is_array() || !completion.is_array()) {
    fail_data("{}: \"{}\" and \"{}\" must be two strings or two lists of messages", row.name(),
              row.called("prompt"), row.called("completion"));
  }
  const auto named = [&](std::string_view column) {
    return fmt::format("{}: {}", row.name(), row.called(column));
  };
  Json messages = as_context(read_messages(prompt, row.fields(), named("prompt")));
  for (Json& answer : read_messages(completion, row.fields(), named("completion"))) {
    messages.push_back(std::move(answer));
  }
  sample.parts.push_back(
      {.conversation = make_conversation(row, std::move(messages)), .prompt = {}, .text = {}});
  return sample;
}

}  // namespace weft::data
