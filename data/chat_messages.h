#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace weft::data {

enum class ChatRole { kSystem, kUser, kAssistant, kTool };

struct ToolCall {
  std::string name;
  std::string arguments;  ///< as it is printed
};

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string content;
  bool has_reasoning = false;  ///< "reasoning_content" is there and not null
  std::string reasoning;
  std::vector<ToolCall> tool_calls;
  /// What the row says about training on it: its member `train`; false for OpenAI's `weight` 0 of
  /// an assistant message.
  std::optional<bool> train;
};

/// A conversation whose fields have been checked.
struct Conversation {
  std::vector<ChatMessage> messages;  ///< at least one
  std::vector<std::string> tools;     ///< each as one line of JSON
  bool add_generation_prompt = false;
  std::optional<bool> enable_thinking;  ///< where the row says
};

/// Reads a conversation as render_chat describes it (chat.h); data Errors start with `name` and
/// name the field.
[[nodiscard]] Conversation read_conversation(const Json& json, std::string_view name);

}  // namespace weft::data
