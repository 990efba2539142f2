#include "data/chat.h"

#include <algorithm>
#include <span>

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
  ChatEncoder(const Tokenizer& tokenizer, const ChatOptions& options, std::string_view name)
      : tokenizer_(tokenizer), options_(options), name_(name) {}

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
    if (target && !pending_target_) {
      target_begin_ = pending_.size();
      pending_target_ = true;
    }
    pending_ += segment.text;
    // A target is followed by <|im_end|>, so a stretch never goes from target to not.
  }

  void finish(RenderedChat& chat) {
    flush();
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
    tokenizer_.encode(pending_, options_.content, ids_);
    mask_.resize(ids_.size(), 0);
    if (pending_target_) mark(begin);
    pending_.clear();
    pending_target_ = false;
  }

  /// Marks the tokens that begin at or after the target's first byte. A token that begins before
  /// it, such as newlines of the header and of the answer in one, is not the model's to write.
  void mark(std::size_t begin) {
    std::size_t byte = 0;
    for (std::size_t i = begin; i < ids_.size(); ++i) {
      if (byte >= target_begin_) {
        std::fill(mask_.begin() + static_cast<std::ptrdiff_t>(i), mask_.end(), std::uint8_t{1});
        return;
      }
      byte += tokenizer_.token_bytes(ids_[i]).size();
    }
  }

  const Tokenizer& tokenizer_;
  ChatOptions options_;
  std::string_view name_;
  std::string pending_;
  bool pending_target_ = false;
  std::size_t target_begin_ = 0;
  std::vector<std::int32_t> ids_;
  std::vector<std::uint8_t> mask_;
};

/// The message whose turn is trained when only the last one is; all others are not.
std::size_t last_target(std::span<const ChatSegment> segments) {
  std::size_t last = 0;
  for (const ChatSegment& segment : segments) {
    if (segment.target) last = segment.message;
  }
  return last;
}

}  // namespace

RenderedChat render_chat(const Tokenizer& tokenizer, const Json& conversation,
                         const ChatOptions& options, std::string_view name) {
  const std::vector<ChatSegment> segments = chat_segments(read_conversation(conversation, name));
  const std::size_t last = last_target(segments);
  RenderedChat chat;
  chat.text = text_of(segments);
  ChatEncoder encoder(tokenizer, options, name);
  for (const ChatSegment& segment : segments) {
    encoder.add(segment, segment.target && (!options.last_turn_only || segment.message == last));
  }
  encoder.finish(chat);
  return chat;
}

std::string render_chat_text(const Json& conversation, std::string_view name) {
  return text_of(chat_segments(read_conversation(conversation, name)));
}

}  // namespace weft::data
