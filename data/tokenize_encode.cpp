#include "data/tokenize_encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

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

/// Samples as token ids.
class SampleEncoder {
 public:
  SampleEncoder(const Tokenizer& tokenizer, const TokenizeOptions& options)
      : tokenizer_(tokenizer), options_(options) {}

  [[nodiscard]] std::vector<Document> encode(const Sample& sample, std::string_view name) const {
    // A pair stays a pair, and what was judged as a whole is not taken apart.
    if (sample.parts.size() == 1 && !sample.desirable && !sample.parts[0].conversation.is_null()) {
      return encode_samples(sample.parts[0].conversation, name);
    }
    std::vector<Document> documents;
    for (const Sample::Part& part : sample.parts) {
      Document& document = documents.emplace_back(
          part.conversation.is_null() ? encode_text(part) : encode_chat(part, name));
      if (sample.desirable) {
        document.label = *sample.desirable ? Document::kDesirable : Document::kUndesirable;
      }
    }
    return documents;
  }

 private:
  /// The prompt is encoded by itself, as it will be when the model is asked.
  [[nodiscard]] Document encode_text(const Sample::Part& part) const {
    Document document;
    tokenizer_.encode(part.prompt, SpecialTokens::kPlain, document.ids);
    document.mask.assign(document.ids.size(), 0);
    tokenizer_.encode(part.text, SpecialTokens::kPlain, document.ids);
    document.ids.push_back(end_token());
    document.mask.resize(document.ids.size(), 1);
    document.mask[0] = 0;
    return document;
  }

  [[nodiscard]] Document encode_chat(const Sample::Part& part, std::string_view name) const {
    RenderedChat chat = render_chat(tokenizer_, part.conversation, options_.chat, name);
    return {.ids = std::move(chat.ids), .mask = std::move(chat.mask)};
  }

  [[nodiscard]] std::vector<Document> encode_samples(const Json& conversation,
                                                     std::string_view name) const {
    std::vector<Document> documents;
    for (RenderedChat& chat : render_chat_samples(tokenizer_, conversation, options_.chat, name)) {
      documents.push_back({.ids = std::move(chat.ids), .mask = std::move(chat.mask)});
    }
    return documents;
  }

  /// Looked up when the first text needs it: chats do without.
  [[nodiscard]] std::int32_t end_token() const {
    std::call_once(end_once_, [this] { end_ = find_end_token(tokenizer_, options_.end_token); });
    return end_;
  }

  const Tokenizer& tokenizer_;
  TokenizeOptions options_;
  mutable std::once_flag end_once_;
  mutable std::int32_t end_ = 0;
};

/// Asks for what a row says only as far as it is needed.
class ContentRowEncoder : public RowEncoder {
 public:
  explicit ContentRowEncoder(EncodeContent content) : content_(std::move(content)) {}

 protected:
  /// Whether the row is to be tokenised; fills in what `result` says of its content.
  [[nodiscard]] bool admit(EncodedRow& result, const auto& canonical) const {
    if (content_.hash) {
      result.content = content_hash(canonical());
      result.left_out = !content_.side.contains(*result.content);
    }
    return !result.left_out;
  }

 private:
  EncodeContent content_;
};

class SampleRowEncoder final : public ContentRowEncoder {
 public:
  SampleRowEncoder(const TokenizeSource& source, const Tokenizer& tokenizer,
                   const TokenizeOptions& options, const EncodeContent& content)
      : ContentRowEncoder(content),
        shape_(source.format.shape),
        fields_(row_fields(source.input)),
        chosen_alone_(source.input.preference == "chosen"),
        samples_(tokenizer, options) {}

  [[nodiscard]] EncodedRow encode(const Row& row, std::string_view name) const override {
    Sample sample = read(row, name);
    EncodedRow result;
    if (sample.parts.size() == 2 && chosen_alone_) {
      sample.parts.pop_back();
    }
    if (!sample.parts.empty() && admit(result, [&] { return sample.canonical(); })) {
      result.documents = samples_.encode(sample, name);
      result.pair = sample.parts.size() == 2;
    }
    return result;
  }

 private:
  [[nodiscard]] Sample read(const Row& row, std::string_view name) const {
    if (shape_ != nullptr) {
      const Json json = parse_row(row, name);
      return shape_->read(RowView(json, fields_, name));
    }
    Sample sample;
    if (!row.text.empty()) {
      sample.parts.push_back({.conversation = nullptr, .prompt = {}, .text = row.text});
    }
    return sample;
  }

  const RowShape* shape_;  ///< nullptr: plain text
  RowFields fields_;
  bool chosen_alone_;
  SampleEncoder samples_;
};

class IdsEncoder final : public ContentRowEncoder {
 public:
  IdsEncoder(const Tokenizer& tokenizer, const EncodeContent& content)
      : ContentRowEncoder(content), vocab_size_(tokenizer.vocab_size()) {}

  [[nodiscard]] EncodedRow encode(const Row& row, std::string_view name) const override {
    const Json json = parse_row(row, name);
    EncodedRow result;
    Document document = read(json, name);
    const auto canonical = [&] {
      return "ids\n" + dump_json(json["ids"]) + dump_json(json["labels"]);
    };
    if (!document.ids.empty() && admit(result, canonical)) {
      result.documents.push_back(std::move(document));
    }
    return result;
  }

 private:
  [[nodiscard]] Document read(const Json& json, std::string_view name) const {
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
    return document;
  }

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
                                             const TokenizeOptions& options,
                                             const EncodeContent& content) {
  if (source.format.kind == RowFormat::Kind::kIds) {
    return std::make_unique<IdsEncoder>(tokenizer, content);
  }
  return std::make_unique<SampleRowEncoder>(source, tokenizer, options, content);
}

std::vector<EncodedRow> encode_rows(const RowEncoder& encoder, std::span<const Row> rows,
                                    const fs::path& file, int threads) {
  std::vector<EncodedRow> results(rows.size());
  std::vector<std::exception_ptr> errors(rows.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < rows.size(); i = next++) {
      try {
        results[i] = encoder.encode(rows[i], fmt::format("{}:{}", file.string(), rows[i].line));
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
  return results;
}

}  // namespace weft::data
