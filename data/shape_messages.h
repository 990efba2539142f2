#pragma once

#include <span>
#include <string>

#include "base/json.h"
#include "data/row_columns.h"

namespace weft::data {

/// Messages as the chat format takes them: members "role" and "content", roles system, user,
/// assistant and tool. A message of the data has "role" and "content", or ShareGPT's "from" and
/// "value", or what the field map says. Its role may be another tool's word for one of the four;
/// function_call becomes an assistant message with tool calls, from one JSON object or a list of
/// them with "name" and "arguments". "tool_calls" may be a string that holds the list as JSON;
/// "loss" is taken as "train". All other members stay. `where` names the list in errors.
[[nodiscard]] Json read_messages(const Json& list, const RowFields& fields, std::string_view where);

/// {"messages": …} with the row's tools, its system prompt where the messages have none, and
/// whether it is to be thought about ("enable_thinking", also in "chat_template_kwargs"). Tools may
/// be a string that holds JSON; bare functions are put into {"type": "function", "function": …}.
[[nodiscard]] Json make_conversation(const RowView& row, Json messages);

/// The same messages, none of them a target.
[[nodiscard]] Json as_context(Json messages);

}  // namespace weft::data
