#include "cli/chat_session.h"

#include <cstdio>

#include "base/text.h"
#include "data/chat.h"
#include "model/qwen3_model.h"

namespace weft::cli {

void TokenPrinter::add(std::int32_t id) {
  ids_.push_back(id);
  if (!live_ || tokenizer_.is_special(id)) {
    return;
  }
  pending_ += tokenizer_.token_bytes(id);
  const std::size_t ready = pending_.size() - incomplete_utf8_suffix(pending_);
  std::fwrite(pending_.data(), 1, ready, stdout);
  std::fflush(stdout);
  pending_.erase(0, ready);
}

std::string TokenPrinter::text() const {
  return data::replace_invalid_utf8(tokenizer_.decode(ids_, /*skip_special=*/true));
}

void TokenPrinter::finish() {
  if (live_) {
    const std::string rest = data::replace_invalid_utf8(pending_) + "\n";
    std::fwrite(rest.data(), 1, rest.size(), stdout);
    std::fflush(stdout);
  }
}

ChatSession::ChatSession(const LoadedModel& loaded, trainer::SamplingOptions sampling,
                         bool thinking)
    : loaded_(loaded), sampling_(std::move(sampling)), thinking_(thinking) {}

void ChatSession::set_system(const std::string& text) {
  messages_.push_back(Json{{"role", "system"}, {"content", text}});
}

std::string ChatSession::answer(const std::string& user, bool live) {
  const data::Tokenizer& tokenizer = *loaded_.tokenizer;
  messages_.push_back(Json{{"role", "user"}, {"content", user}});
  Json row{{"messages", messages_}, {"add_generation_prompt", true}};
  if (!thinking_) {
    row["enable_thinking"] = false;
  }
  const data::RenderedChat prompt =
      data::render_chat(tokenizer, row, loaded_.chat, "the conversation");
  TokenPrinter printer(tokenizer, live);
  last_ = trainer::generate(*loaded_.model, prompt.ids, sampling_,
                            [&](std::int32_t id) { printer.add(id); });
  printer.finish();
  const std::string text = printer.text();
  messages_.push_back(Json{{"role", "assistant"}, {"content", text}});
  return text;
}

}  // namespace weft::cli
