#include "cli/tokenizer_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/progress.h"
#include "base/text.h"
#include "data/bpe_definition.h"
#include "data/chat.h"
#include "data/sentencepiece_convert.h"
#include "data/sentencepiece_training.h"
#include "data/tokenize_config.h"
#include "data/tokenizer.h"
#include "data/tokenizer_diff.h"

namespace weft::cli {

namespace {

constexpr std::size_t kFlushBytes = std::size_t{1} << 16;

/// What a subcommand does with one row: appends its answer, without the newline, to `out`. `name`
/// names the row in errors.
using RowFunction = std::function<void(const Json& row, const std::string& name, std::string& out)>;

/// Runs a function over the rows of standard input. Answers are written in large pieces, but never
/// held back while the input pauses.
void for_each_row(const RowFunction& function) {
  std::ios::sync_with_stdio(false);
  std::cin.tie(nullptr);
  std::string line;
  std::string out;
  const auto flush = [&out] {
    std::cout.write(out.data(), static_cast<std::streamsize>(out.size())).flush();
    out.clear();
    if (!std::cout) fail_data("standard output: cannot write (is it closed, or the disk full?)");
  };
  for (std::size_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    const std::string name = fmt::format("standard input:{}", number);
    try {
      const Json row = parse_json(line, name);
      if (!row.is_object()) fail_data("{}: is not a JSON object; expected one a line", name);
      function(row, name, out);
    } catch (...) {
      flush();  // the answers before the row that failed
      throw;
    }
    out += '\n';
    if (out.size() >= kFlushBytes || std::cin.rdbuf()->in_avail() <= 0) flush();
  }
  flush();
}

template <typename T>
void append_list(std::string& out, const std::vector<T>& numbers) {
  out += '[';
  for (const T number : numbers) {
    fmt::format_to(std::back_inserter(out), "{}, ", number);
  }
  if (!numbers.empty()) out.resize(out.size() - 2);
  out += ']';
}

std::vector<std::int32_t> read_ids(const Json& row, const data::Tokenizer& tokenizer,
                                   const std::string& name) {
  std::vector<std::int32_t> ids;
  for (const std::int64_t id : json_ints(row, "ids", name)) {
    // The spare rows of an embedding are allowed and decode to nothing, but not any number.
    if (id < 0 || id > INT32_MAX) {
      fail_data("{}: the id {} is not a token id; the tokenizer has 0 to {}", name, id,
                tokenizer.vocab_size() - 1);
    }
    ids.push_back(static_cast<std::int32_t>(id));
  }
  return ids;
}

struct Options {
  std::string model;
  std::string other;
  std::string text;
  std::string file;
  std::string special = "plain";
  bool skip_special = false;
  data::TokenizeSettings chat;
  std::vector<std::string> corpus;
  std::string out;
  data::SentencePieceTraining training;
};

data::SpecialTokens special_of(const Options& options) {
  return options.special == "parse" ? data::SpecialTokens::kParse : data::SpecialTokens::kPlain;
}

void run_encode(const Options& options) {
  const auto tokenizer = data::load_tokenizer(posix_file_system(), options.model);
  for_each_row([&](const Json& row, const std::string& name, std::string& out) {
    std::vector<std::int32_t> ids;
    tokenizer->encode(json_string(row, "text", name), special_of(options), ids);
    out += "{\"ids\": ";
    append_list(out, ids);
    out += '}';
  });
}

void run_decode(const Options& options) {
  const auto tokenizer = data::load_tokenizer(posix_file_system(), options.model);
  for_each_row([&](const Json& row, const std::string& name, std::string& out) {
    std::string text = tokenizer->decode(read_ids(row, *tokenizer, name), options.skip_special);
    out += "{\"text\": ";
    out += dump_json(data::replace_invalid_utf8(std::move(text)));
    out += '}';
  });
}

void append_chat(std::string& out, const data::RenderedChat& chat) {
  out += "{\"text\": ";
  out += dump_json(chat.text);
  out += ", \"ids\": ";
  append_list(out, chat.ids);
  out += ", \"mask\": ";
  append_list(out, chat.mask);
  out += '}';
}

void run_chat(const Options& options) {
  FileSystem& files = posix_file_system();
  const auto tokenizer = data::load_tokenizer(files, options.model);
  data::TokenizeSettings settings = options.chat;
  settings.special_tokens = options.special;
  const data::ChatOptions chat_options = settings.chat_options(files, options.model);
  for_each_row([&](const Json& row, const std::string& name, std::string& out) {
    bool first = true;
    for (const data::RenderedChat& chat :
         data::render_chat_samples(*tokenizer, row, chat_options, name)) {
      if (!first) out += '\n';
      first = false;
      append_chat(out, chat);
    }
  });
}

void run_train(const Options& options) {
  const std::vector<fs::path> corpus(options.corpus.begin(), options.corpus.end());
  data::train_sentencepiece(posix_file_system(), corpus, options.training, options.out);
  const auto tokenizer = data::load_tokenizer(posix_file_system(), options.out);
  std::cout << fmt::format("{}: {} tokens\n", (fs::path(options.out) / "tokenizer.model").string(),
                           tokenizer->vocab_size());
}

/// Compares the converted model with the BPE on every token and on the lines of files.
void prove_equal(const std::string& model, const data::BpeDefinition& definition,
                 const data::Tokenizer& tokenizer, const std::vector<std::string>& check) {
  const data::SpelledSentencePiece converted(model, definition.nfc, "the converted model");
  std::int64_t tokens = 0;
  const auto compare = [&](std::string_view text, const std::string& where) {
    std::vector<std::int32_t> ids;
    tokenizer.encode(text, data::SpecialTokens::kPlain, ids);
    if (converted.encode(text) != ids) {
      fail_data("{}: SentencePiece gives other ids than the BPE for {}; nothing is written", where,
                printable(text, 200));
    }
    tokens += static_cast<std::int64_t>(ids.size());
  };
  ProgressLine progress("comparing", static_cast<std::uint64_t>(definition.vocabulary.size()),
                        "tokens");
  for (std::int32_t id = 0; id < definition.vocabulary.size(); ++id) {
    compare(definition.vocabulary.bytes(id), fmt::format("token {}", id));
    progress.update(static_cast<std::uint64_t>(id) + 1);
  }
  for (const std::string& path : check) {
    std::int64_t line = 0;
    const std::string whole = read_file(posix_file_system(), path);  // the lines are views of it
    for (const std::string_view text : split(whole, '\n')) {
      compare(text, fmt::format("{}:{}", path, ++line));
    }
  }
  std::cout << fmt::format("same ids for {} vocabulary entries and {} file{}, {} tokens in all\n",
                           definition.vocabulary.size(), check.size(), check.size() == 1 ? "" : "s",
                           tokens);
}

void run_convert(const Options& options) {
  FileSystem& files = posix_file_system();
  const data::BpeDefinition definition = data::read_bpe_folder(files, options.model);
  const auto tokenizer = data::load_tokenizer(files, options.model);
  const std::string model = data::convert_to_sentencepiece(definition, options.model);
  prove_equal(model, definition, *tokenizer, options.corpus);
  files.make_folders(options.out);
  const fs::path path = fs::path(options.out) / "tokenizer.model";
  publish_file(files, path, model);
  std::cout << fmt::format("{}: {} pieces, {} bytes\n", path.string(), tokenizer->vocab_size() + 1,
                           model.size());
}

std::string cut(const std::vector<std::string>& tokens) {
  std::string text = "|";
  for (const std::string& token : tokens) text += printable(token) + '|';
  return text;
}

std::string some(const std::vector<std::string>& tokens) {
  constexpr std::size_t kMost = 8;
  return cut({tokens.begin(),
              tokens.begin() + static_cast<std::ptrdiff_t>(std::min(tokens.size(), kMost))}) +
         (tokens.size() > kMost ? " …" : "");
}

void print_text_diff(const std::vector<data::TextDiffPart>& parts) {
  std::size_t first = 0;
  std::size_t second = 0;
  std::size_t different = 0;
  for (const data::TextDiffPart& part : parts) {
    first += part.first.size();
    second += part.second.size();
    if (part.same()) continue;
    ++different;
    std::cout << fmt::format("byte {}:\n  A {}\n  B {}\n", part.begin, cut(part.first),
                             cut(part.second));
  }
  std::cout << fmt::format("text: {} tokens in A, {} in B; {} place{} cut differently\n", first,
                           second, different, different == 1 ? "" : "s");
}

void run_diff(const Options& options) {
  FileSystem& files = posix_file_system();
  const auto first = data::load_tokenizer(files, options.model);
  const auto second = data::load_tokenizer(files, options.other);
  const data::VocabularyDiff diff = data::diff_vocabularies(*first, *second);
  std::cout << fmt::format(
      "vocabulary: {} tokens with the same id, {} with another id, {} in A alone, {} in B alone\n",
      diff.same, diff.moved, diff.only_first.size(), diff.only_second.size());
  if (!diff.only_first.empty()) std::cout << "  A alone: " << some(diff.only_first) << '\n';
  if (!diff.only_second.empty()) std::cout << "  B alone: " << some(diff.only_second) << '\n';
  if (options.file.empty() && options.text.empty()) return;
  const std::string text = options.file.empty() ? options.text : read_file(files, options.file);
  print_text_diff(data::diff_text(*first, *second, text, special_of(options)));
}

CLI::App* add_verb(CLI::App& parent, const std::string& name, const std::string& description,
                   const std::shared_ptr<Options>& options, void (*run)(const Options&)) {
  CLI::App* verb = parent.add_subcommand(name, description);
  verb->callback([options, run] { run(*options); });
  return verb;
}

void add_model(CLI::App& verb, Options& options) {
  verb.add_option("--model", options.model, "folder with the tokenizer's files")->required();
}

void add_special(CLI::App& verb, Options& options) {
  verb.add_option("--special", options.special,
                  "names of special tokens in the text: plain text, or parse them")
      ->check(CLI::IsMember({"plain", "parse"}))
      ->capture_default_str();
}

/// The run config's keys about chats. Here one row gives one line unless the user asks for more.
void add_chat(CLI::App& verb, data::TokenizeSettings& chat) {
  chat.multi_turn_reasoning = "template";
  const auto choice = [&](const char* flag, std::string& value, std::vector<std::string> words,
                          const char* description) {
    verb.add_option(flag, value, description)
        ->check(CLI::IsMember(std::move(words)))
        ->capture_default_str();
  };
  choice("--chat-template", chat.chat_template,
         {"auto", "qwen3", "qwen3-instruct-2507", "qwen3-thinking-2507"},
         "format; auto: that of the model's own template");
  choice("--train-on", chat.train_on, {"assistant", "last", "all"}, "turns that the mask marks");
  verb.add_flag("--last-turn-only", chat.last_turn_only, "the same as --train-on last");
  choice("--empty-think", chat.empty_think, {"auto", "train", "prompt", "omit"},
         "empty think blocks: marked, not marked, or left out");
  choice("--multi-turn-reasoning", chat.multi_turn_reasoning,
         {"auto", "template", "split", "keep", "strip"},
         "reasoning before the last question; split gives a line for each marked turn");
  verb.add_flag("!--no-train-end-of-turn", chat.train_end_of_turn, "do not mark <|im_end|>");
}

void add_convert(CLI::App& verb, Options& options) {
  add_model(verb, options);
  verb.add_option("--out", options.out, "folder for tokenizer.model")->required();
  verb.add_option("--check", options.corpus, "files whose lines have to get the same ids");
}

void add_diff(CLI::App& verb, Options& options) {
  verb.add_option("A", options.model, "folder with a tokenizer's files")->required();
  verb.add_option("B", options.other, "folder with the other's")->required();
  verb.add_option("text", options.text, "a text that both cut");
  verb.add_option("--file", options.file, "a file with the text")->excludes("text");
  add_special(verb, options);
}

void add_train(CLI::App& verb, Options& options) {
  verb.add_option("corpus", options.corpus,
                  "files, folders and patterns of text, JSON, tables or Parquet, also compressed")
      ->required();
  verb.add_option("--out", options.out, "folder for tokenizer.model")->required();
  verb.add_option("--vocab-size", options.training.vocab_size, "token ids in all")
      ->capture_default_str();
  verb.add_option("--model-type", options.training.model_type, "kind of model")
      ->check(CLI::IsMember({"bpe", "unigram"}))
      ->capture_default_str();
  verb.add_option("--character-coverage", options.training.character_coverage,
                  "share of the characters that get tokens; the rest is spelled in bytes")
      ->check(CLI::Range(0.98, 1.0))
      ->capture_default_str();
  verb.add_option("--control-tokens", options.training.control_tokens,
                  "tokens that decoding can skip")
      ->delimiter(',')
      ->capture_default_str();
  verb.add_option("--tags", options.training.tags, "tokens of their own that decoding keeps")
      ->delimiter(',')
      ->capture_default_str();
}

}  // namespace

void add_tokenizer_command(CLI::App& app) {
  CLI::App* tokenizer =
      app.add_subcommand("tokenizer", "Text to token ids and back, chats to text");
  tokenizer->require_subcommand(1);
  const auto options = std::make_shared<Options>();
  CLI::App* encode = add_verb(*tokenizer, "encode", R"({"text": …} lines to {"ids": […]} lines)",
                              options, run_encode);
  add_model(*encode, *options);
  add_special(*encode, *options);
  CLI::App* decode = add_verb(*tokenizer, "decode", R"({"ids": […]} lines to {"text": …} lines)",
                              options, run_decode);
  add_model(*decode, *options);
  decode->add_flag("--skip-special", options->skip_special, "leave special tokens out");
  CLI::App* chat =
      add_verb(*tokenizer, "chat", R"({"messages": […]} lines to {"text", "ids", "mask"} lines)",
               options, run_chat);
  add_model(*chat, *options);
  add_special(*chat, *options);
  add_chat(*chat, options->chat);
  add_convert(*add_verb(*tokenizer, "convert",
                        "A byte-level BPE as a SentencePiece model with the same ids", options,
                        run_convert),
              *options);
  add_diff(*add_verb(*tokenizer, "diff", "Where two tokenizers and their vocabularies differ",
                     options, run_diff),
           *options);
  CLI::App* train =
      add_verb(*tokenizer, "train", "Train a SentencePiece model on files", options, run_train);
  add_train(*train, *options);
}

}  // namespace weft::cli
