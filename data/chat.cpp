#include "data/chat.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/error.h"
#include "data/chat_segments.h"

namespace weft::data {

namespace {

std::string text_of(std::span<const ChatSegment> segments) {
  std::string text;
  for (const ChatSegment& segment : segments) text += segment.text;
  return text;
}

/// Encodes segments. Text is encoded in one piece from tag to tag, whatever segments it consists
/// of, so that the ids are those of the whole text: tags are the only places where every tokenizer
/// cuts.
class ChatEncoder {
 public:
  ChatEncoder(const Tokenizer& tokenizer, SpecialTokens content, std::string_view name)
      : tokenizer_(tokenizer), content_(content), name_(name) {}

  void add(const ChatSegment& segment, bool target) {
    if (segment.kind == ChatSegment::Kind::kTag) {
      if (const auto id = tokenizer_.token_id(segment.text)) {
        flush();
        ids_.push_back(*id);
        mask_.push_back(target ? 1 : 0);
        return;
      }
      require_text_form(segment.text);
    }
    if (target) targets_.push_back({pending_.size(), pending_.size() + segment.text.size()});
    pending_ += segment.text;
  }

  void finish(RenderedChat& chat) {
    flush();
    if (!mask_.empty()) mask_[0] = 0;  // nothing is before it
    chat.ids = std::move(ids_);
    chat.mask = std::move(mask_);
  }

 private:
  void require_text_form(const std::string& tag) const {
    if (tag == "<|im_start|>" || tag == "<|im_end|>") {
      fail_config("{}: the tokenizer has no token {}, so it cannot write chats", name_, tag);
    }
  }

  void flush() {
    if (pending_.empty()) return;
    const std::size_t begin = ids_.size();
    tokenizer_.encode(pending_, content_, ids_);
    mask_.resize(ids_.size(), 0);
    if (!targets_.empty()) mark(begin);
    pending_.clear();
    targets_.clear();
  }

  /// Marks the tokens whose first byte is a target's. A token that begins before it, such as
  /// newlines of the header and of the answer in one, is not the model's to write. The last target
  /// has no end: bringing text into composed form makes it shorter than it was counted.
  void mark(std::size_t begin) {
    targets_.back().second = std::string::npos;
    std::size_t byte = 0;
    std::size_t at = 0;
    for (std::size_t i = begin; i < ids_.size(); ++i) {
      while (at < targets_.size() && byte >= targets_[at].second) ++at;
      if (at == targets_.size()) return;
      if (byte >= targets_[at].first) mask_[i] = 1;
      byte += tokenizer_.token_bytes(ids_[i]).size();
    }
  }

  const Tokenizer& tokenizer_;
  SpecialTokens content_;
  std::string_view name_;
  std::string pending_;
  std::vector<std::pair<std::size_t, std::size_t>> targets_;  // in pending_, [begin, end)
  std::vector<std::int32_t> ids_;
  std::vector<std::uint8_t> mask_;
};

/// Which messages are targets.
std::vector<bool> find_targets(const std::vector<ChatMessage>& messages, TrainOn train_on) {
  std::vector<bool> targets(messages.size(), train_on == TrainOn::kAll);
  for (std::size_t i = messages.size(); i-- > 0 && train_on != TrainOn::kAll;) {
    if (messages[i].role != ChatRole::kAssistant) continue;
    targets[i] = true;
    if (train_on == TrainOn::kLast) break;
  }
  for (std::size_t i = 0; i < messages.size(); ++i) {
    targets[i] = messages[i].train.value_or(targets[i]);
  }
  return targets;
}

bool is_target(const ChatSegment& segment, const std::vector<bool>& targets,
               const ChatOptions& options, bool thinking) {
  using Part = ChatSegment::Part;
  const bool wanted = targets[segment.message];
  switch (segment.part) {
    case Part::kFrame:
    case Part::kPrefilled:
      return options.train_on == TrainOn::kAll && wanted;
    case Part::kBody:
      return wanted;
    case Part::kEnd:
      return wanted && options.train_end_of_turn;
    case Part::kEmptyThink:
      return wanted && (options.empty_think == EmptyThink::kTrain ||
                        (options.empty_think == EmptyThink::kAuto && thinking));
  }
  return false;
}

RenderedChat render(const Tokenizer& tokenizer, const Conversation& conversation,
                    const std::vector<bool>& targets, const ChatOptions& options,
                    std::string_view name) {
  const std::vector<ChatSegment> segments = chat_segments(conversation, options);
  // Thinking-2507's template has no such flag.
  const bool thinking = options.format != ChatTemplate::kQwen3 ||
                        conversation.enable_thinking.value_or(options.enable_thinking);
  RenderedChat chat;
  chat.text = text_of(segments);
  ChatEncoder encoder(tokenizer, options.content, name);
  for (const ChatSegment& segment : segments) {
    encoder.add(segment,
                segment.message < targets.size() && is_target(segment, targets, options, thinking));
  }
  encoder.finish(chat);
  return chat;
}

bool is_split(const Conversation& conversation, const std::vector<bool>& targets,
              const ChatOptions& options) {
  if (options.reasoning != MultiTurnReasoning::kAuto) {
    return options.reasoning == MultiTurnReasoning::kSplit;
  }
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i] && conversation.messages[i].role == ChatRole::kAssistant &&
        loses_reasoning(conversation, i, options)) {
      return true;
    }
  }
  return false;
}

Conversation read_for(const Json& conversation, const ChatOptions& options, std::string_view name) {
  if (options.format == ChatTemplate::kUnknown) {
    fail_config(
        "{}: is a chat, and the model's chat template is none that weft has; say which of qwen3, "
        "qwen3-instruct-2507 and qwen3-thinking-2507 is meant (chat_template)",
        name);
  }
  return read_conversation(conversation, name);
}

}  // namespace

RenderedChat render_chat(const Tokenizer& tokenizer, const Json& conversation,
                         const ChatOptions& options, std::string_view name) {
  const Conversation read = read_for(conversation, options, name);
  return render(tokenizer, read, find_targets(read.messages, options.train_on), options, name);
}

std::vector<RenderedChat> render_chat_samples(const Tokenizer& tokenizer, const Json& conversation,
                                              const ChatOptions& options, std::string_view name) {
  Conversation rest = read_for(conversation, options, name);
  const std::vector<bool> targets = find_targets(rest.messages, options.train_on);
  std::vector<RenderedChat> samples;
  if (is_split(rest, targets, options)) {
    rest.add_generation_prompt = false;
    for (std::size_t i = targets.size(); i-- > 0;) {
      if (!targets[i] || rest.messages[i].role != ChatRole::kAssistant) continue;
      rest.messages.resize(i + 1);
      std::vector<bool> alone(i + 1, false);
      alone[i] = true;
      samples.push_back(render(tokenizer, rest, alone, options, name));
    }
    std::reverse(samples.begin(), samples.end());
  }
  if (samples.empty()) samples.push_back(render(tokenizer, rest, targets, options, name));
  return samples;
}

std::string render_chat_text(const Json& conversation, const ChatOptions& options,
                             std::string_view name) {
  return text_of(chat_segments(read_for(conversation, options, name), options));
}

}  // namespace weft::data
