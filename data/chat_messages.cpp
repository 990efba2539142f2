#include "data/chat_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace weft::data {

namespace {

ChatRole read_role(const Json& message, const std::string& where) {
  const std::string& role = json_string(message, "role", where);
  if (role == "system") return ChatRole::kSystem;
  if (role == "user") return ChatRole::kUser;
  if (role == "assistant") return ChatRole::kAssistant;
  if (role == "tool") return ChatRole::kTool;
  fail_data("{}: unknown role \"{}\"; expected system, user, assistant or tool", where,
            printable(role));
}

std::string read_part(const Json& part, const std::string& where) {
  if (!part.is_object()) fail_data("{}: must be an object like {{\"type\": \"text\", …}}", where);
  const std::string& type = json_string(part, "type", where);
  if (type != "text") {
    fail_data("{}: a part of type \"{}\"; only text parts can be trained on", where,
              printable(type));
  }
  return json_string(part, "text", where);
}

std::string read_content(const Json& message, bool optional, const std::string& where) {
  const Json* content = json_find(message, "content");
  if (content == nullptr) {
    if (optional) return {};
    fail_data("{}: \"content\" is missing or null", where);
  }
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) {
    fail_data("{}: \"content\" must be a string or a list of text parts", where);
  }
  if (content->empty()) fail_data("{}: \"content\" is an empty list", where);
  std::string text;
  for (std::size_t i = 0; i < content->size(); ++i) {
    text += read_part((*content)[i], fmt::format("{}.content[{}]", where, i));
  }
  return text;
}

ToolCall read_tool_call(const Json& entry, const std::string& where) {
  if (!entry.is_object()) fail_data("{}: must be an object", where);
  const Json* function = json_find(entry, "function");
  // As in the template: an empty "function" counts as none.
  const bool nested = function != nullptr && !(function->is_object() && function->empty());
  if (nested && !function->is_object()) fail_data("{}: \"function\" must be an object", where);
  const Json& call = nested ? *function : entry;
  const std::string place = nested ? where + ".function" : where;
  ToolCall result;
  result.name = json_string(call, "name", place);
  const Json& arguments = json_member(call, "arguments", place);
  result.arguments =
      arguments.is_string() ? arguments.get<std::string>() : dump_json_python(arguments);
  return result;
}

std::vector<ToolCall> read_tool_calls(const Json& message, const std::string& where) {
  std::vector<ToolCall> calls;
  const Json* list = json_find(message, "tool_calls");
  if (list == nullptr) return calls;
  if (!list->is_array()) fail_data("{}: \"tool_calls\" must be a list", where);
  for (std::size_t i = 0; i < list->size(); ++i) {
    calls.push_back(read_tool_call((*list)[i], fmt::format("{}.tool_calls[{}]", where, i)));
  }
  return calls;
}

/// Members `train` (true or false) and `weight` (0 or 1, of assistant messages).
std::optional<bool> read_train(const Json& json, ChatRole role, const std::string& where) {
  std::optional<bool> train;
  if (json_find(json, "train") != nullptr) train = json_bool(json, "train", where);
  if (role != ChatRole::kAssistant || json_find(json, "weight") == nullptr) return train;
  const double weight = json_number(json, "weight", where);
  if (weight != 0 && weight != 1) {
    fail_data("{}: \"weight\" is {}; expected 0 (not trained) or 1", where, weight);
  }
  if (train && *train != (weight == 1)) {
    fail_data("{}: \"train\" and \"weight\" contradict each other", where);
  }
  // 1 is what OpenAI's format has by default: it does not ask for more than the run's train_on.
  return weight == 0 ? std::optional(false) : train;
}

ChatMessage read_message(const Json& json, const std::string& where) {
  if (!json.is_object()) fail_data("{}: must be an object with \"role\" and \"content\"", where);
  ChatMessage message;
  message.role = read_role(json, where);
  if (message.role == ChatRole::kAssistant) {
    message.tool_calls = read_tool_calls(json, where);
    if (json_find(json, "reasoning_content") != nullptr) {
      message.has_reasoning = true;
      message.reasoning = json_string(json, "reasoning_content", where);
    }
  }
  message.train = read_train(json, message.role, where);
  message.content = read_content(json, !message.tool_calls.empty(), where);
  return message;
}

std::optional<bool> read_flag(const Json& json, std::string_view key, std::string_view name) {
  if (json_find(json, key) == nullptr) return std::nullopt;
  return json_bool(json, key, name);
}

}  // namespace

Conversation read_conversation(const Json& json, std::string_view name) {
  Conversation conversation;
  const Json& messages = json_member(json, "messages", name);
  if (!messages.is_array()) fail_data("{}: \"messages\" must be a list", name);
  if (messages.empty()) fail_data("{}: \"messages\" is an empty list", name);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    conversation.messages.push_back(
        read_message(messages[i], fmt::format("{}: messages[{}]", name, i)));
  }
  if (const Json* tools = json_find(json, "tools")) {
    if (!tools->is_array()) fail_data("{}: \"tools\" must be a list", name);
    for (const Json& tool : *tools) conversation.tools.push_back(dump_json_python(tool));
  }
  conversation.add_generation_prompt =
      read_flag(json, "add_generation_prompt", name).value_or(false);
  conversation.enable_thinking = read_flag(json, "enable_thinking", name);
  return conversation;
}

}  // namespace weft::data
