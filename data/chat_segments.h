#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/chat_messages.h"

namespace weft::data {

/// A stretch of a rendered conversation.
struct ChatSegment {
  enum class Kind {
    kTag,     ///< a control token or tag of the format itself, by name
    kText,    ///< other text of the format
    kContent  ///< text of a message
  };
  Kind kind;
  std::string text;
  bool target = false;      ///< the model is to learn to write it
  std::size_t message = 0;  ///< the message it belongs to (for targets)
};

/// A conversation in Qwen3's format as segments in order; together their texts are what the chat
/// template renders.
[[nodiscard]] std::vector<ChatSegment> chat_segments(const Conversation& conversation);

}  // namespace weft::data
