#include "data/chat_segments.h"

#include <algorithm>
#include <array>
#include <utility>

namespace weft::data {

namespace {

constexpr std::string_view kToolsBefore =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
    "provided with function signatures within <tools></tools> XML tags:\n<tools>";
constexpr std::string_view kToolsAfter =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within ";
constexpr std::string_view kToolsExample =
    "\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n";

std::string_view strip_newlines_left(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of('\n'), text.size()));
}

std::string_view strip_newlines_right(std::string_view text) {
  const std::size_t last = text.find_last_not_of('\n');
  return last == text.npos ? std::string_view() : text.substr(0, last + 1);
}

std::string_view role_name(ChatRole role) {
  switch (role) {
    case ChatRole::kSystem:
      return "system";
    case ChatRole::kUser:
      return "user";
    case ChatRole::kAssistant:
      return "assistant";
    case ChatRole::kTool:
      return "tool";
  }
  return "";
}

/// What an assistant message says and what it thought first.
struct Answer {
  std::string_view content;
  std::string_view reasoning;
};

Answer split_answer(const ChatMessage& message) {
  constexpr std::string_view kOpen = "<think>";
  constexpr std::string_view kClose = "</think>";
  const std::string_view content = message.content;
  if (message.has_reasoning) return {content, message.reasoning};
  const std::size_t first = content.find(kClose);
  if (first == content.npos) return {content, {}};
  Answer answer;
  answer.content = strip_newlines_left(content.substr(content.rfind(kClose) + kClose.size()));
  std::string_view thought = strip_newlines_right(content.substr(0, first));
  if (const std::size_t open = thought.rfind(kOpen); open != thought.npos) {
    thought.remove_prefix(open + kOpen.size());
  }
  answer.reasoning = strip_newlines_left(thought);
  return answer;
}

bool has_think_blocks(ChatTemplate format) { return format != ChatTemplate::kQwen3Instruct2507; }

/// What the message says in the format: Instruct-2507 takes its content as it is.
Answer answer_of(const ChatMessage& message, ChatTemplate format) {
  return has_think_blocks(format) ? split_answer(message) : Answer{message.content, {}};
}

std::string_view strip_newlines(std::string_view text) {
  return strip_newlines_left(strip_newlines_right(text));
}

/// The last message in which the user asks something, not a tool result put into a user message;
/// the last message of all if there is none.
std::size_t last_query(const std::vector<ChatMessage>& messages) {
  for (std::size_t i = messages.size(); i-- > 0;) {
    const std::string_view content = messages[i].content;
    const bool tool_response =
        content.starts_with("<tool_response>") && content.ends_with("</tool_response>");
    if (messages[i].role == ChatRole::kUser && !tool_response) return i;
  }
  return messages.size() - 1;
}

class SegmentWriter {
 public:
  SegmentWriter(const Conversation& conversation, const ChatOptions& options)
      : conversation_(conversation),
        options_(options),
        messages_(conversation.messages),
        last_query_(last_query(messages_)) {}

  std::vector<ChatSegment> write() {
    write_head();
    for (current_ = 0; current_ < messages_.size(); ++current_) write_message();
    if (conversation_.add_generation_prompt) write_generation_prompt();
    return std::move(segments_);
  }

 private:
  using Kind = ChatSegment::Kind;
  using Part = ChatSegment::Part;

  void add(Kind kind, std::string_view text) {
    if (!text.empty()) segments_.push_back({kind, std::string(text), part_, current_});
  }
  void tag(std::string_view name) { add(Kind::kTag, name); }
  void text(std::string_view text) { add(Kind::kText, text); }
  void content(std::string_view text) { add(Kind::kContent, text); }

  void begin_turn(std::string_view role) {
    tag("<|im_start|>");
    text(role);
    text("\n");
  }

  void end_turn() {
    part_ = Part::kEnd;
    tag("<|im_end|>");
    part_ = Part::kFrame;
    text("\n");
  }

  void write_head() {
    const bool system = messages_[0].role == ChatRole::kSystem;
    if (conversation_.tools.empty()) {
      if (system) write_turn(messages_[0]);
      return;
    }
    begin_turn("system");
    if (system) {
      part_ = Part::kBody;
      content(messages_[0].content);
      part_ = Part::kFrame;
      text("\n\n");
    }
    text(kToolsBefore);
    for (const std::string& tool : conversation_.tools) {
      text("\n");
      content(tool);
    }
    text(kToolsAfter);
    tag("<tool_call>");
    tag("</tool_call>");
    text(" XML tags:\n");
    tag("<tool_call>");
    text(kToolsExample);
    tag("</tool_call>");
    tag("<|im_end|>");
    text("\n");
  }

  void write_turn(const ChatMessage& message) {
    begin_turn(role_name(message.role));
    part_ = Part::kBody;
    content(message.content);
    end_turn();
  }

  void write_message() {
    const ChatMessage& message = messages_[current_];
    switch (message.role) {
      case ChatRole::kSystem:
        if (current_ > 0) write_turn(message);  // the first is in the head
        return;
      case ChatRole::kUser:
        return write_turn(message);
      case ChatRole::kAssistant:
        return write_answer(message);
      case ChatRole::kTool:
        return write_tool_result(message);
    }
  }

  void write_answer(const ChatMessage& message) {
    Answer answer = answer_of(message, options_.format);
    if (options_.reasoning == MultiTurnReasoning::kStrip) answer.reasoning = {};
    begin_turn("assistant");
    part_ = Part::kBody;
    if (has_block(answer)) {
      write_think_block(strip_newlines(answer.reasoning));
      content(strip_newlines_left(answer.content));
    } else {
      content(answer.content);
    }
    for (std::size_t i = 0; i < message.tool_calls.size(); ++i) {
      if (i > 0 || !answer.content.empty()) text("\n");
      write_tool_call(message.tool_calls[i]);
    }
    end_turn();
  }

  [[nodiscard]] bool has_block(const Answer& answer) const {
    if (!has_think_blocks(options_.format)) return false;
    const bool reasons = !answer.reasoning.empty();
    if (options_.reasoning == MultiTurnReasoning::kKeep && reasons) return true;
    const bool last = current_ + 1 == messages_.size();
    return current_ > last_query_ && (last || reasons);
  }

  void write_think_block(std::string_view reasoning) {
    if (reasoning.empty() && options_.empty_think == EmptyThink::kOmit) return;
    const Part inside = reasoning.empty() ? Part::kEmptyThink : Part::kBody;
    const bool prefilled = options_.format == ChatTemplate::kQwen3Thinking2507;
    part_ = prefilled ? Part::kPrefilled : inside;
    tag("<think>");
    text("\n");
    part_ = inside;
    content(reasoning);
    text("\n");
    tag("</think>");
    text("\n\n");
    part_ = Part::kBody;
  }

  void write_tool_call(const ToolCall& call) {
    tag("<tool_call>");
    text("\n{\"name\": \"");
    content(call.name);
    text("\", \"arguments\": ");
    content(call.arguments);
    text("}\n");
    tag("</tool_call>");
  }

  void write_tool_result(const ChatMessage& message) {
    const auto is_tool = [&](std::size_t i) {
      return i < messages_.size() && messages_[i].role == ChatRole::kTool;
    };
    if (current_ == 0 || !is_tool(current_ - 1)) {
      tag("<|im_start|>");
      text("user");
    }
    text("\n");
    tag("<tool_response>");
    text("\n");
    part_ = Part::kBody;
    content(message.content);
    text("\n");
    tag("</tool_response>");
    part_ = Part::kFrame;
    if (!is_tool(current_ + 1)) end_turn();
  }

  void write_generation_prompt() {
    begin_turn("assistant");
    if (options_.format == ChatTemplate::kQwen3Thinking2507) {
      tag("<think>");
      text("\n");
    } else if (options_.format == ChatTemplate::kQwen3 &&
               !conversation_.enable_thinking.value_or(options_.enable_thinking)) {
      tag("<think>");
      text("\n\n");
      tag("</think>");
      text("\n\n");
    }
  }

  const Conversation& conversation_;
  const ChatOptions& options_;
  const std::vector<ChatMessage>& messages_;
  std::size_t last_query_;
  std::size_t current_ = 0;
  Part part_ = Part::kFrame;
  std::vector<ChatSegment> segments_;
};

}  // namespace

std::vector<ChatSegment> chat_segments(const Conversation& conversation,
                                       const ChatOptions& options) {
  return SegmentWriter(conversation, options).write();
}

bool loses_reasoning(const Conversation& conversation, std::size_t message,
                     const ChatOptions& options) {
  return message <= last_query(conversation.messages) &&
         !answer_of(conversation.messages[message], options.format).reasoning.empty();
}

}  // namespace weft::data
