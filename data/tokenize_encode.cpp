#include "data/tokenize_encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <thread>

#include "base/error.h"
#include "base/text.h"

namespace weft::data {

namespace {

constexpr std::int64_t kNotTrained = -100;

Json parse_row(const Row& row, std::string_view name) {
  Json json = parse_json(row.text, name);
  if (!json.is_object()) {
    fail_data("{}: is not a JSON object; expected one object on each line", name);
  }
  return json;
}

std::int32_t find_end_token(const Tokenizer& tokenizer, const std::string& wanted) {
  static const std::array<std::string, 2> kUsual{"<|endoftext|>", "</s>"};
  const std::span<const std::string> names =
      wanted.empty() ? std::span<const std::string>(kUsual) : std::span(&wanted, 1);
  for (const std::string& name : names) {
    if (const auto id = tokenizer.token_id(name)) {
      return *id;
    }
  }
  std::vector<std::int32_t> ids;
  tokenizer.encode("", SpecialTokens::kPlain, ids);  // one that knows ids alone says so itself
  fail_config("end_token: the tokenizer has no token {}; set end_token to one that it has",
              printable(join(names, " or ")));
}

class TextEncoder final : public RowEncoder {
 public:
  TextEncoder(const Tokenizer& tokenizer, const std::string& end_token)
      : tokenizer_(tokenizer), end_(find_end_token(tokenizer, end_token)) {}

  [[nodiscard]] std::vector<Document> encode(const Row& row, std::string_view) const override {
    return encode_text(row.text);
  }

  [[nodiscard]] std::vector<Document> encode_text(std::string_view text) const {
    if (text.empty()) {
      return {};
    }
    Document document;
    tokenizer_.encode(text, SpecialTokens::kPlain, document.ids);
    document.ids.push_back(end_);
    document.mask.assign(document.ids.size(), 1);
    document.mask[0] = 0;
    return {std::move(document)};
  }

 private:
  const Tokenizer& tokenizer_;
  std::int32_t end_;
};

class TextRowEncoder final : public RowEncoder {
 public:
  TextRowEncoder(const Tokenizer& tokenizer, const std::string& end_token, std::string field)
      : text_(tokenizer, end_token), field_(std::move(field)) {}

  [[nodiscard]] std::vector<Document> encode(const Row& row, std::string_view name) const override {
    return text_.encode_text(json_string(parse_row(row, name), field_, name));
  }

 private:
  TextEncoder text_;
  std::string field_;
};

class ChatEncoder final : public RowEncoder {
 public:
  ChatEncoder(const Tokenizer& tokenizer, const ChatOptions& options)
      : tokenizer_(tokenizer), options_(options) {}

  [[nodiscard]] std::vector<Document> encode(const Row& row, std::string_view name) const override {
    return encode_chat(parse_row(row, name), name);
  }

  [[nodiscard]] std::vector<Document> encode_chat(const Json& json, std::string_view name) const {
    RenderedChat chat = render_chat(tokenizer_, json, options_, name);
    return {Document{.ids = std::move(chat.ids), .mask = std::move(chat.mask)}};
  }

 private:
  const Tokenizer& tokenizer_;
  ChatOptions options_;
};

class ExchangeEncoder final : public RowEncoder {
 public:
  ExchangeEncoder(const Tokenizer& tokenizer, const ChatOptions& options,
                  const TokenizeInput& input)
      : chat_(tokenizer, options), prompt_(input.prompt_field), response_(input.response_field) {}

  [[nodiscard]] std::vector<Document> encode(const Row& row, std::string_view name) const override {
    const Json json = parse_row(row, name);
    const Json prompt = {{"role", "user"}, {"content", json_string(json, prompt_, name)}};
    const Json response = {{"role", "assistant"}, {"content", json_string(json, response_, name)}};
    Json conversation = Json::object();
    conversation["messages"] = Json::array({prompt, response});
    return chat_.encode_chat(conversation, name);
  }

 private:
  ChatEncoder chat_;
  std::string prompt_;
  std::string response_;
};

class IdsEncoder final : public RowEncoder {
 public:
  explicit IdsEncoder(const Tokenizer& tokenizer) : vocab_size_(tokenizer.vocab_size()) {}

  [[nodiscard]] std::vector<Document> encode(const Row& row, std::string_view name) const override {
    const Json json = parse_row(row, name);
    const std::vector<std::int64_t> ids = json_ints(json, "ids", name);
    const std::vector<std::int64_t> labels = json_ints(json, "labels", name);
    if (ids.size() != labels.size()) {
      fail_data("{}: {} ids with {} labels; expected equal numbers", name, ids.size(),
                labels.size());
    }
    Document document;
    document.ids.reserve(ids.size());
    document.mask.reserve(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      check(ids[i], labels[i], i, name);
      document.ids.push_back(static_cast<std::int32_t>(ids[i]));
      // Nothing is before the first token, so its label, if it has one, is never used.
      document.mask.push_back(i > 0 && labels[i] != kNotTrained ? 1 : 0);
    }
    return {std::move(document)};
  }

 private:
  void check(std::int64_t id, std::int64_t label, std::size_t i, std::string_view name) const {
    if (id < 0 || id >= vocab_size_) {
      fail_data("{}: ids[{}] is {}, outside the tokenizer's vocabulary of {}", name, i, id,
                vocab_size_);
    }
    if (label != id && label != kNotTrained) {
      fail_data("{}: labels[{}] is {}, expected its id {} or {} (labels are not shifted)", name, i,
                label, id, kNotTrained);
    }
  }

  std::int64_t vocab_size_;
};

}  // namespace

std::unique_ptr<RowEncoder> make_row_encoder(const TokenizeSource& source,
                                             const Tokenizer& tokenizer,
                                             const TokenizeOptions& options) {
  switch (source.format) {
    case RowFormat::kText:
      return std::make_unique<TextEncoder>(tokenizer, options.end_token);
    case RowFormat::kTextRow:
      return std::make_unique<TextRowEncoder>(tokenizer, options.end_token,
                                              source.input.text_field);
    case RowFormat::kChat:
      return std::make_unique<ChatEncoder>(tokenizer, options.chat);
    case RowFormat::kExchange:
      return std::make_unique<ExchangeEncoder>(tokenizer, options.chat, source.input);
    case RowFormat::kIds:
      return std::make_unique<IdsEncoder>(tokenizer);
  }
  fail_internal("row format {}", static_cast<int>(source.format));
}

std::vector<std::vector<Document>> encode_rows(const RowEncoder& encoder, std::span<const Row> rows,
                                               const fs::path& file, int threads) {
  std::vector<std::vector<Document>> documents(rows.size());
  std::vector<std::exception_ptr> errors(rows.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < rows.size(); i = next++) {
      try {
        documents[i] = encoder.encode(rows[i], fmt::format("{}:{}", file.string(), rows[i].line));
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> helpers;
    const auto wanted = std::min<std::size_t>(static_cast<std::size_t>(threads), rows.size());
    for (std::size_t i = 1; i < wanted; ++i) {
      helpers.emplace_back(work);
    }
    work();
  }
  for (const std::exception_ptr& error : errors) {
    if (error) {
      std::rethrow_exception(error);
    }
  }
  return documents;
}

}  // namespace weft::data
