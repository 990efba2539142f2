#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/chat_options.h"
#include "data/tokenizer.h"

namespace weft::data {

/// A conversation in Qwen3's chat format.
struct RenderedChat {
  std::string text;
  std::vector<std::int32_t> ids;  ///< of `text`; where no message names a control token, exactly
                                  ///< the ids of encoding it whole with kParse
  /// 1 where the token is a target: of an assistant turn what follows "<|im_start|>assistant\n"
  /// through its <|im_end|>, less what the options leave out. A token is a target when its first
  /// byte is. As long as `ids`.
  std::vector<std::uint8_t> mask;
};

/// Renders a conversation as the chat template of `options.format` does, character for character,
/// except where the options say otherwise:
///
///     {"messages": [{"role": "user", "content": "Hi"}, …],  roles system, user, assistant, tool
///      "tools": […],                    function signatures, printed as given
///      "add_generation_prompt": true,   ends with the start of an assistant turn; default false
///      "enable_thinking": false}        Qwen3: adds an empty think block to that start
///
/// An assistant message may have "reasoning_content" and "tool_calls"; any message "train": true or
/// false, which wins over options.train_on, and an assistant message "weight": 0, which is "train":
/// false. What is trained of a user or system message is its content and <|im_end|>, of a tool
/// message its content through </tool_response>. Other keys are ignored. More is accepted than the
/// template does, which would render nothing or fail: "content" as a list of
/// {"type": "text", "text": …} parts is their texts joined, and an assistant message with tool
/// calls may have null or no content.
///
/// `name` names the conversation in errors ("chats.jsonl:12"). Throws a data Error that starts with
/// it and names the field for what is missing, empty or of the wrong type, and a config Error when
/// the format is kUnknown or the tokenizer lacks <|im_start|> or <|im_end|>. Other tags of the
/// format that a tokenizer lacks, such as <think>, are encoded as text.
[[nodiscard]] RenderedChat render_chat(const Tokenizer& tokenizer, const Json& conversation,
                                       const ChatOptions& options, std::string_view name);

/// The samples to train on that a conversation gives: one, or by options.reasoning one for each
/// assistant turn that is a target, in order, each ending with it and training it alone. Errors as
/// render_chat.
[[nodiscard]] std::vector<RenderedChat> render_chat_samples(const Tokenizer& tokenizer,
                                                            const Json& conversation,
                                                            const ChatOptions& options,
                                                            std::string_view name);

/// The text of render_chat alone.
[[nodiscard]] std::string render_chat_text(const Json& conversation, const ChatOptions& options,
                                           std::string_view name);

}  // namespace weft::data
