#include "data/shape_messages.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace weft::data {

namespace {

/// What other tools call the roles.
struct RoleWord {
  std::string_view word;
  std::string_view role;
};
constexpr std::string_view kCall = "function_call";
constexpr std::array<RoleWord, 18> kRoles{{{"system", "system"},
                                           {"developer", "system"},
                                           {"user", "user"},
                                           {"human", "user"},
                                           {"prompter", "user"},
                                           {"assistant", "assistant"},
                                           {"gpt", "assistant"},
                                           {"chatgpt", "assistant"},
                                           {"bot", "assistant"},
                                           {"model", "assistant"},
                                           {"tool", "tool"},
                                           {"observation", "tool"},
                                           {"tool_response", "tool"},
                                           {"function", "tool"},
                                           {"function_response", "tool"},
                                           {"ipython", "tool"},
                                           {"function_call", kCall},
                                           {"tool_call", kCall}}};

std::string tag(const RowFields& fields, const char* name) {
  const auto found = fields.tags.find(name);
  return found == fields.tags.end() ? std::string() : found->second;
}

std::string_view role_of(const std::string& word, const RowFields& fields, std::string_view where) {
  static constexpr std::array<std::pair<const char*, std::string_view>, 5> kTags{
      {{"user_tag", "user"},
       {"assistant_tag", "assistant"},
       {"system_tag", "system"},
       {"observation_tag", "tool"},
       {"function_tag", kCall}}};
  for (const auto& [name, role] : kTags) {
    if (tag(fields, name) == word) {
      return role;
    }
  }
  for (const RoleWord& known : kRoles) {
    if (known.word == word) {
      return known.role;
    }
  }
  fail_data(
      "{}: unknown role \"{}\"; expected system, user, assistant or tool, or a word that the "
      "dataset's tags give, such as tags: {{user_tag: {}}}",
      where, printable(word), printable(word));
}

/// The member of a message that holds a part of it: as the field map says, or the first there is.
std::string member_name(const Json& message, const RowFields& fields, const char* tag_name,
                        std::string_view usual, std::string_view sharegpt) {
  if (std::string mapped = tag(fields, tag_name); !mapped.empty()) {
    return mapped;
  }
  return std::string(message.contains(usual) || !message.contains(sharegpt) ? usual : sharegpt);
}

/// The calls that a function_call message writes as JSON text.
Json parse_calls(const Json& content, std::string_view where) {
  if (!content.is_string()) {
    fail_data("{}: a function call must be a string that holds JSON", where);
  }
  Json parsed = parse_json(content.get_ref<const std::string&>(), where);
  Json calls = parsed.is_array() ? std::move(parsed) : Json::array({std::move(parsed)});
  Json list = Json::array();
  for (Json& call : calls) {
    if (!call.is_object() || !call.contains("name") || !call.contains("arguments")) {
      fail_data("{}: a function call must be an object with \"name\" and \"arguments\"", where);
    }
    list.push_back({{"type", "function"}, {"function", std::move(call)}});
  }
  return list;
}

Json read_message(const Json& message, const RowFields& fields, const std::string& where) {
  if (!message.is_object()) {
    fail_data("{}: must be an object with a role and a content", where);
  }
  const std::string role_key = member_name(message, fields, "role_tag", "role", "from");
  const std::string content_key = member_name(message, fields, "content_tag", "content", "value");
  const std::string_view role = role_of(json_string(message, role_key, where), fields, where);
  Json result = {{"role", role == kCall ? "assistant" : role}};
  for (const auto& [key, value] : message.items()) {
    if (key == role_key) {
      continue;
    }
    if (key == content_key) {
      if (role == kCall) {
        result["content"] = "";
        result["tool_calls"] = parse_calls(value, where);
      } else {
        result["content"] = value;
      }
    } else if (key == "tool_calls" && value.is_string()) {
      result[key] = parse_json(value.get_ref<const std::string&>(), where + ".tool_calls");
    } else if (key == "loss" && value.is_boolean()) {
      result["train"] = value;
    } else if (!value.is_null()) {
      result[key] = value;
    }
  }
  return result;
}

Json read_tools(const RowView& row) {
  Json tools = row.list("tools");
  for (Json& tool : tools) {
    if (tool.is_object() && tool.contains("name") && !tool.contains("function")) {
      tool = Json{{"type", "function"}, {"function", std::move(tool)}};
    }
  }
  return tools;
}

}  // namespace

Json read_messages(const Json& list, const RowFields& fields, std::string_view where) {
  Json messages = Json::array();
  for (std::size_t i = 0; i < list.size(); ++i) {
    messages.push_back(read_message(list[i], fields, fmt::format("{}[{}]", where, i)));
  }
  return messages;
}

Json make_conversation(const RowView& row, Json messages) {
  Json conversation = Json::object();
  const std::string system = row.text_or_empty("system");
  const bool has_system = !messages.empty() && messages[0]["role"] == "system";
  if (!system.empty() && !has_system) {
    messages.insert(messages.begin(), Json{{"role", "system"}, {"content", system}});
  }
  conversation["messages"] = std::move(messages);
  if (Json tools = read_tools(row); !tools.is_null() && !tools.empty()) {
    conversation["tools"] = std::move(tools);
  }
  const Json* thinking = json_find(row.row(), "enable_thinking");
  const Json* arguments = json_find(row.row(), "chat_template_kwargs");
  if (thinking == nullptr && arguments != nullptr && arguments->is_object()) {
    thinking = json_find(*arguments, "enable_thinking");
  }
  if (thinking != nullptr) {
    conversation["enable_thinking"] = *thinking;
  }
  return conversation;
}

Json as_context(Json messages) {
  for (Json& message : messages) {
    message["train"] = false;
    message.erase("weight");
  }
  return messages;
}

}  // namespace weft::data
