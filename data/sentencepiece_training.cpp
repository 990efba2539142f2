#include "data/sentencepiece_training.h"

#include <fmt/format.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/text.h"
#include "data/file_patterns.h"
#include "data/reader.h"
#include "data/tokenizer_added.h"

namespace weft::data {

namespace {

/// The trainer skips longer sentences without a word.
constexpr std::size_t kMaxSentence = 4096;

/// Cuts a text into lines, each with its newline so that the model learns it, and lines that are
/// too long into stretches of whole characters.
void add_sentences(std::string_view text, std::vector<std::string>& sentences) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t newline = std::min(text.find('\n', at), text.size() - 1);
    std::string sentence(text.substr(at, std::min(newline + 1 - at, kMaxSentence)));
    sentence.resize(sentence.size() - incomplete_utf8_suffix(sentence));
    at += sentence.size();
    sentences.push_back(std::move(sentence));
  }
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
  return {{"model_type", options.model_type},
          {"vocab_size", std::to_string(options.vocab_size)},
          {"hard_vocab_limit", "false"},
          {"control_symbols", join(options.control_tokens, ",")},
          {"user_defined_symbols", join(options.tags, ",")},
          {"byte_fallback", "true"},
          {"character_coverage", fmt::format("{}", options.character_coverage)},
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

void add_strings(const Json& json, std::vector<std::string>& sentences) {
  if (json.is_string()) {
    add_sentences(json.get<std::string>(), sentences);
  } else if (json.is_array()) {
    for (const Json& item : json) add_strings(item, sentences);
  } else if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      if (key != "role" && key != "type") add_strings(value, sentences);
    }
  }
}

void add_file(FileSystem& files, const fs::path& path, std::vector<std::string>& sentences) {
  RowOptions options;
  options.syntax = file_syntax(path);
  if (options.syntax == FileSyntax::kMegatron || options.syntax == FileSyntax::kHdf5) {
    fail_config("{}: holds token ids; a tokenizer is trained on text", path.string());
  }
  const std::unique_ptr<RowReader> rows = open_rows(files, path, options);
  ProgressLine progress("reading " + path.filename().string(), files.open(path)->size(), "bytes");
  Row row;
  while (rows->next(row)) {
    if (options.syntax == FileSyntax::kText) {
      add_sentences(row.text + '\n', sentences);
    } else {
      add_strings(parse_json(row.text, fmt::format("{}:{}", path.string(), row.line)), sentences);
    }
    progress.update(rows->bytes_read());
  }
}

std::string train(std::vector<std::string> texts, const SentencePieceTraining& options) {
  const auto tokens =
      static_cast<std::int64_t>(options.control_tokens.size() + options.tags.size());
  if (options.vocab_size < 257 + tokens || options.vocab_size > kMaxTokenId) {
    fail_config("tokenizer training: vocab_size is {}, expected {} (bytes and tokens) to {}",
                options.vocab_size, 257 + tokens, kMaxTokenId);
  }
  if (options.model_type != "bpe" && options.model_type != "unigram") {
    fail_config("tokenizer training: model_type is '{}', expected bpe or unigram",
                printable(options.model_type));
  }
  if (!(options.character_coverage >= 0.98 && options.character_coverage <= 1.0)) {
    fail_config("tokenizer training: character_coverage is {}, expected 0.98 to 1",
                options.character_coverage);
  }
  check_tokens(options.control_tokens);
  check_tokens(options.tags);
  Sentences sentences(std::move(texts));
  if (sentences.done()) fail_data("tokenizer training: the corpus has no text");
  std::string model;
  const auto status =
      sentencepiece::SentencePieceTrainer::Train(trainer_arguments(options), &sentences, &model);
  if (!status.ok()) {
    fail_config("tokenizer training: SentencePiece says: {}", status.error_message());
  }
  return model;
}

}  // namespace

std::string train_sentencepiece(std::span<const std::string> texts,
                                const SentencePieceTraining& options) {
  std::vector<std::string> sentences;
  for (const std::string& text : texts) add_sentences(text, sentences);
  return train(std::move(sentences), options);
}

void train_sentencepiece(FileSystem& files, std::span<const fs::path> corpus,
                         const SentencePieceTraining& options, const fs::path& out_folder) {
  std::vector<std::string> sentences;
  for (const fs::path& path : corpus) {
    for (const fs::path& file : find_input_files(files, path)) {
      add_file(files, file, sentences);
    }
  }
  const std::string model = train(std::move(sentences), options);
  files.make_folders(out_folder);
  publish_file(files, out_folder / "tokenizer.model", model);
}

}  // namespace weft::data
