#include "data/sentencepiece_training.h"

#include <fmt/format.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "data/tokenizer_added.h"

namespace weft::data {

namespace {

/// The trainer skips longer sentences without a word.
constexpr std::size_t kMaxSentence = 4096;

/// Cuts texts into lines, each with its newline so that the model learns it, and lines that are too
/// long into stretches of whole characters.
std::vector<std::string> to_sentences(std::span<const std::string> texts) {
  std::vector<std::string> sentences;
  for (const std::string& text : texts) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t newline = std::min(text.find('\n', at), text.size() - 1);
      std::string sentence = text.substr(at, std::min(newline + 1 - at, kMaxSentence));
      sentence.resize(sentence.size() - incomplete_utf8_suffix(sentence));
      at += sentence.size();
      sentences.push_back(std::move(sentence));
    }
  }
  return sentences;
}

class Sentences final : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(std::vector<std::string> sentences) : sentences_(std::move(sentences)) {}
  bool done() const override { return at_ == sentences_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return sentences_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::vector<std::string> sentences_;
  std::size_t at_ = 0;
};

void check_tokens(const std::vector<std::string>& tokens) {
  for (const std::string& token : tokens) {
    if (token.empty() || !is_utf8(token) || token.find_first_of(", \"\n") != token.npos) {
      fail_config(
          "tokenizer training: the token {} cannot be used: it must be UTF-8 without spaces, "
          "commas "
          "and quotes, and not empty",
          printable(token));
    }
  }
}

std::unordered_map<std::string, std::string> trainer_arguments(
    const SentencePieceTraining& options) {
  return {{"model_type", "bpe"},
          {"vocab_size", std::to_string(options.vocab_size)},
          {"hard_vocab_limit", "false"},
          {"control_symbols", join(options.control_tokens, ",")},
          {"user_defined_symbols", join(options.tags, ",")},
          {"byte_fallback", "true"},
          {"character_coverage", "1.0"},
          {"split_digits", "true"},
          {"allow_whitespace_only_pieces", "true"},
          {"normalization_rule_name", "identity"},
          {"add_dummy_prefix", "false"},
          {"remove_extra_whitespaces", "false"},
          {"unk_id", "0"},
          {"bos_id", "-1"},
          {"eos_id", "-1"},
          {"pad_id", "-1"},
          {"max_sentence_length", std::to_string(kMaxSentence + 1)},
          {"minloglevel", "3"}};
}

void collect_strings(const Json& json, std::vector<std::string>& texts) {
  if (json.is_string()) {
    texts.push_back(json.get<std::string>());
  } else if (json.is_array()) {
    for (const Json& item : json) collect_strings(item, texts);
  } else if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      if (key != "role" && key != "type") collect_strings(value, texts);
    }
  }
}

void read_rows(std::string_view text, const std::string& name, std::vector<std::string>& texts) {
  std::size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    collect_strings(parse_json(line, fmt::format("{}:{}", name, number)), texts);
  }
}

}  // namespace

std::string train_sentencepiece(std::span<const std::string> texts,
                                const SentencePieceTraining& options) {
  const auto tokens =
      static_cast<std::int64_t>(options.control_tokens.size() + options.tags.size());
  if (options.vocab_size < 257 + tokens || options.vocab_size > kMaxTokenId) {
    fail_config("tokenizer training: vocab_size is {}, expected {} (bytes and tokens) to {}",
                options.vocab_size, 257 + tokens, kMaxTokenId);
  }
  check_tokens(options.control_tokens);
  check_tokens(options.tags);
  Sentences sentences(to_sentences(texts));
  if (sentences.done()) fail_data("tokenizer training: the corpus has no text");
  std::string model;
  const auto status =
      sentencepiece::SentencePieceTrainer::Train(trainer_arguments(options), &sentences, &model);
  if (!status.ok()) {
    fail_config("tokenizer training: SentencePiece says: {}", status.error_message());
  }
  return model;
}

void train_sentencepiece(FileSystem& files, std::span<const fs::path> corpus,
                         const SentencePieceTraining& options, const fs::path& out_folder) {
  std::vector<std::string> texts;
  for (const fs::path& path : corpus) {
    std::string text = read_file(files, path);
    if (!is_utf8(text)) fail_data("{}: is not UTF-8 text", path.string());
    if (path.extension() == ".jsonl") {
      read_rows(text, path.string(), texts);
    } else {
      texts.push_back(std::move(text));
    }
  }
  const std::string model = train_sentencepiece(texts, options);
  files.make_folders(out_folder);
  publish_file(files, out_folder / "tokenizer.model", model);
}

}  // namespace weft::data
