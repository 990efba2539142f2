#include "data/row_shape.h"

#include <array>

#include "data/shapes.h"

namespace weft::data {

namespace {

const std::array<RowShape, 6> kShapes{{
    {"preference", "chosen, rejected (and prompt or messages)",
     "pairs: the answers are trained on, not what they share", has_preference, read_preference},
    {"kto", "label with prompt and completion, messages, or instruction and output",
     "answers judged good or bad: the last answer is trained on", has_judgement, read_judgement},
    {"chat", "messages or conversations", "chats: what the assistant says is trained on", has_chat,
     read_chat},
    {"prompt_completion", "prompt, completion",
     "the completion alone is trained on; strings are plain text, not chats (set prompt_field and "
     "response_field for chats)",
     has_completion, read_completion},
    {"alpaca", "instruction, output", "chats: instruction and input ask, output is trained on",
     has_alpaca, read_alpaca},
    {"text", "text", "plain text: every token is trained on", has_text, read_text},
}};

}  // namespace

std::span<const RowShape> row_shapes() { return kShapes; }

const RowShape* find_shape(std::string_view name) {
  for (const RowShape& shape : kShapes) {
    if (shape.name == name) {
      return &shape;
    }
  }
  return nullptr;
}

const RowShape* guess_shape(const RowView& row) {
  for (const RowShape& shape : kShapes) {
    if (shape.matches(row)) {
      return &shape;
    }
  }
  return nullptr;
}

}  // namespace weft::data
