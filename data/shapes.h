#pragma once

#include "data/row_columns.h"
#include "data/sample.h"

/// The readers behind row_shapes(): whether a row has a shape, and what it says then.
namespace weft::data {

/// {"text": "…"}
[[nodiscard]] bool has_text(const RowView& row);
[[nodiscard]] Sample read_text(const RowView& row);

/// OpenAI's {"messages": [{"role", "content", …}, …], "tools": […]} and ShareGPT's
/// {"conversations": [{"from", "value"}, …], "system": "…", "tools": "[…]"}; see
/// shape_messages.h for what a message may be.
[[nodiscard]] bool has_chat(const RowView& row);
[[nodiscard]] Sample read_chat(const RowView& row);

/// {"instruction", "input", "output", "system", "history": [["…", "…"], …], "reasoning"}: input
/// follows the instruction on a line of its own, as LLaMA-Factory puts it.
[[nodiscard]] bool has_alpaca(const RowView& row);
[[nodiscard]] Sample read_alpaca(const RowView& row);
/// What comes before the answer of such a row, as messages.
[[nodiscard]] Json alpaca_question(const RowView& row);

/// {"prompt", "completion"}: two strings, which are plain text, or two lists of messages. Only the
/// completion is a target.
[[nodiscard]] bool has_completion(const RowView& row);
[[nodiscard]] Sample read_completion(const RowView& row);

/// {"chosen", "rejected"}, as strings, messages or lists of messages. The prompt is `prompt`, or
/// messages, or an Alpaca instruction, or what the two begin with (for strings, to the last whole
/// word), as in TRL and LLaMA-Factory. What comes after it is the target.
[[nodiscard]] bool has_preference(const RowView& row);
[[nodiscard]] Sample read_preference(const RowView& row);

/// One of the above with {"label": true | false}: KTO's judged answers. The last answer alone is a
/// target.
[[nodiscard]] bool has_judgement(const RowView& row);
[[nodiscard]] Sample read_judgement(const RowView& row);

}  // namespace weft::data
