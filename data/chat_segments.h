#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/chat_messages.h"
#include "data/chat_options.h"

namespace weft::data {

/// A stretch of a rendered conversation.
struct ChatSegment {
  enum class Kind {
    kTag,     ///< a control token or tag of the format itself, by name
    kText,    ///< other text of the format
    kContent  ///< text of a message
  };
  /// What the stretch is to the turn that it stands in.
  enum class Part {
    kFrame,       ///< written by nobody in the conversation: headers, tools, what follows a turn
    kBody,        ///< what the turn's author writes
    kEmptyThink,  ///< an empty think block with the lines after it
    kPrefilled,   ///< the beginning of a think block that the prompt always has
    kEnd          ///< <|im_end|>
  };
  Kind kind;
  std::string text;
  Part part = Part::kFrame;
  std::size_t message = 0;  ///< the message it belongs to
};

/// A conversation as segments in order; together their texts are what the chat template renders,
/// except for what `options` say about reasoning. Of `options`, format, reasoning, empty_think and
/// enable_thinking count; a format of kUnknown must not be.
[[nodiscard]] std::vector<ChatSegment> chat_segments(const Conversation& conversation,
                                                     const ChatOptions& options);

/// Whether the template leaves out reasoning that this assistant message has, since the user asked
/// something after it.
[[nodiscard]] bool loses_reasoning(const Conversation& conversation, std::size_t message,
                                   const ChatOptions& options);

}  // namespace weft::data
