#include "data/tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "data/bpe_definition.h"
#include "data/bpe_tokenizer.h"
#include "data/sentencepiece_tokenizer.h"
#include "data/tokenizer_utf8.h"

namespace weft::data {

namespace {

/// Bytes at the start of `text` that begin a character but do not complete it; at least 1.
std::size_t broken_prefix(std::string_view text) {
  const auto first = static_cast<std::uint8_t>(text[0]);
  const std::size_t size = first < 0xC2 || first > 0xF4 ? 1
                           : first < 0xE0               ? 2
                           : first < 0xF0               ? 3
                                                        : 4;
  std::size_t length = 1;
  for (; length < std::min(size, text.size()); ++length) {
    const auto byte = static_cast<std::uint8_t>(text[length]);
    // The second byte decides about overlong forms, surrogates and the end of Unicode.
    const std::uint8_t low = length > 1 ? 0x80 : first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const std::uint8_t high = length > 1      ? 0xBF
                              : first == 0xED ? 0x9F
                              : first == 0xF4 ? 0x8F
                                              : 0xBF;
    if (byte < low || byte > high) break;
  }
  return length;
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(FileSystem& files, const fs::path& model_folder) {
  if (!files.is_folder(model_folder)) {
    fail_data("{}: is not a folder; expected the folder of a model", model_folder.string());
  }
  const auto has = [&](std::string_view name) { return files.exists(model_folder / name); };
  if (has("tokenizer.json")) {
    return std::make_unique<BpeTokenizer>(
        read_tokenizer_json(files, model_folder / "tokenizer.json"));
  }
  if (has("vocab.json")) {
    return std::make_unique<BpeTokenizer>(read_vocab_and_merges(files, model_folder));
  }
  if (const fs::path model = model_folder / "tokenizer.model"; files.exists(model)) {
    return std::make_unique<SentencePieceTokenizer>(read_file(files, model), model.string());
  }
  fail_data(
      "{}: holds no tokenizer; expected tokenizer.json, or vocab.json with merges.txt and "
      "tokenizer_config.json, or tokenizer.model",
      model_folder.string());
}

std::vector<std::string> tokenizer_files(FileSystem& files, const fs::path& folder) {
  constexpr std::array<std::string_view, 8> kNames{
      "tokenizer.json",          "tokenizer_config.json", "vocab.json",      "merges.txt",
      "special_tokens_map.json", "added_tokens.json",     "tokenizer.model", "chat_template.jinja"};
  std::vector<std::string> present;
  for (const std::string_view name : kNames) {
    if (files.exists(folder / name)) present.emplace_back(name);
  }
  return present;
}

std::string replace_invalid_utf8(std::string text) {
  std::size_t good = 0;
  while (good < text.size()) {
    const Utf8Char c = utf8_char_at(text, good);
    if (c.code_point == kInvalidByte) break;
    good += c.size;
  }
  if (good == text.size()) return text;
  std::string result = text.substr(0, good);
  for (std::size_t at = good; at < text.size();) {
    const std::string_view rest = std::string_view(text).substr(at);
    const Utf8Char c = utf8_char_at(rest, 0);
    const bool valid = c.code_point != kInvalidByte;
    const std::size_t size = valid ? c.size : broken_prefix(rest);
    result += valid ? rest.substr(0, size) : std::string_view("\xEF\xBF\xBD");
    at += size;
  }
  return result;
}

}  // namespace weft::data
