#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/tokenizer.h"

namespace weft::data {

struct ChatOptions {
  /// Train on the last assistant turn alone. Qwen3's format drops the reasoning of turns before the
  /// last question, so training on all turns of such data teaches the early ones not to reason.
  bool last_turn_only = false;
  /// How the text of messages is encoded. kParse lets a message write control tokens.
  SpecialTokens content = SpecialTokens::kPlain;
};

/// A conversation in Qwen3's chat format.
struct RenderedChat {
  std::string text;
  std::vector<std::int32_t> ids;  ///< of `text`; where no message names a control token, exactly
                                  ///< the ids of encoding it whole with kParse
  /// 1 where the token is a target: what follows "<|im_start|>assistant\n" in an assistant turn,
  /// through its <|im_end|>. As long as `ids`.
  std::vector<std::uint8_t> mask;
};

/// Renders a conversation as the chat template of Qwen3 does, character for character:
///
///     {"messages": [{"role": "user", "content": "Hi"}, …],  roles system, user, assistant, tool
///      "tools": […],                        function signatures, printed as given
///      "add_generation_prompt": true,       ends with the start of an assistant turn; default
///      false "enable_thinking": false}            adds an empty think block to that start
///
/// An assistant message may have "reasoning_content" and "tool_calls". Other keys are ignored. More
/// is accepted than the template does, which would render nothing or fail: "content" as a list of
/// {"type": "text", "text": …} parts is their texts joined, and an assistant message with tool
/// calls may have null or no content.
///
/// `name` names the conversation in errors ("chats.jsonl:12"). Throws a data Error that starts with
/// it and names the field for what is missing, empty or of the wrong type, and a config Error when
/// the tokenizer lacks <|im_start|> or <|im_end|>. Other tags of the format that a tokenizer lacks,
/// such as <think>, are encoded as text.
[[nodiscard]] RenderedChat render_chat(const Tokenizer& tokenizer, const Json& conversation,
                                       const ChatOptions& options, std::string_view name);

/// The text alone.
[[nodiscard]] std::string render_chat_text(const Json& conversation, std::string_view name);

}  // namespace weft::data
