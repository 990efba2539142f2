#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/bpe_definition.h"
#include "data/pretokenizer.h"

namespace weft::data {

namespace {

/// Json's type member for messages and decisions: "null" where the value is null or absent.
std::string type_of(const Json* json, std::string_view name) {
  return json == nullptr ? "null" : json_string(*json, "type", name);
}

[[noreturn]] void fail_kind(std::string_view name, std::string_view part, std::string_view found,
                            std::string_view expected) {
  fail_data("{}: the {} is {}, but weft has only that of Qwen2 and Qwen3: {}", name, part,
            printable(found, 400), expected);
}

bool read_nfc(const Json& root, std::string_view name) {
  const std::string type = type_of(json_find(root, "normalizer"), name);
  if (type != "NFC" && type != "null") fail_kind(name, "normalizer", type, "NFC");
  return type == "NFC";
}

void check_byte_level(const Json& step, std::string_view name) {
  if (type_of(&step, name) != "ByteLevel") {
    fail_kind(name, "second step of the pre_tokenizer", type_of(&step, name), "ByteLevel");
  }
  for (const std::string_view key : {"add_prefix_space", "use_regex"}) {
    if (json_bool(step, key, name)) {
      fail_kind(name, "pre_tokenizer", fmt::format("ByteLevel with {}", key),
                "ByteLevel without add_prefix_space and use_regex");
    }
  }
}

void check_split(const Json& step, std::string_view name) {
  if (type_of(&step, name) != "Split") {
    fail_kind(name, "first step of the pre_tokenizer", type_of(&step, name), "Split");
  }
  const std::string& behavior = json_string(step, "behavior", name);
  if (behavior != "Isolated" || json_bool(step, "invert", name)) {
    fail_kind(name, "behavior of the Split pre_tokenizer",
              behavior + (behavior == "Isolated" ? " inverted" : ""), "Isolated");
  }
  const std::string& pattern = json_string(json_member(step, "pattern", name), "Regex", name);
  if (pattern != kQwenSplitPattern) {
    fail_kind(name, "split pattern", pattern, kQwenSplitPattern);
  }
}

void check_pre_tokenizer(const Json& root, std::string_view name) {
  const Json* sequence = json_find(root, "pre_tokenizer");
  const std::string type = type_of(sequence, name);
  if (type != "Sequence") {
    fail_kind(name, "pre_tokenizer", type, "a Sequence of Split and ByteLevel");
  }
  const Json& steps = json_member(*sequence, "pretokenizers", name);
  if (!steps.is_array() || steps.size() != 2) {
    fail_kind(name, "pre_tokenizer", "a Sequence of other than two steps", "Split and ByteLevel");
  }
  check_split(steps[0], name);
  check_byte_level(steps[1], name);
}

void check_decoder(const Json& root, std::string_view name) {
  const std::string type = type_of(json_find(root, "decoder"), name);
  if (type != "ByteLevel") fail_kind(name, "decoder", type, "ByteLevel");
}

void check_model(const Json& model, std::string_view name) {
  const std::string type = type_of(&model, name);
  if (type != "BPE") fail_kind(name, "model", type, "BPE");
  for (const std::string_view key : {"byte_fallback", "ignore_merges"}) {
    if (json_find(model, key) != nullptr && json_bool(model, key, name)) {
      fail_kind(name, "model", fmt::format("BPE with {}", key), fmt::format("BPE without {}", key));
    }
  }
  for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (json_find(model, key) != nullptr && !json_string(model, key, name).empty()) {
      fail_kind(name, "model", fmt::format("BPE with a {}", key),
                fmt::format("BPE without a {}", key));
    }
  }
  if (json_find(model, "dropout") != nullptr && json_number(model, "dropout", name) != 0) {
    fail_kind(name, "model", "BPE with dropout", "BPE without dropout");
  }
}

std::vector<BpeMerge> read_merges(const Json& model, const BpeVocabulary& vocabulary,
                                  std::string_view name) {
  const Json& merges = json_member(model, "merges", name);
  if (!merges.is_array()) fail_data("{}: \"merges\" must be a list", name);
  BpeMergeReader reader(vocabulary, std::string(name));
  for (const Json& merge : merges) {
    if (merge.is_string()) {
      reader.add(merge.get_ref<const std::string&>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      reader.add(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>());
    } else {
      fail_data("{}: the merge {} is neither a string nor a pair of strings", name,
                printable(dump_json(merge)));
    }
  }
  return reader.finish();
}

AddedTokens read_added_list(const Json& root, std::string_view name) {
  std::vector<AddedToken> tokens;
  if (const Json* list = json_find(root, "added_tokens")) {
    if (!list->is_array()) fail_data("{}: \"added_tokens\" must be a list", name);
    for (const Json& entry : *list) {
      tokens.push_back(read_added_token(entry, json_int(entry, "id", name), name));
    }
  }
  return {std::move(tokens), name};
}

/// added_tokens_decoder: an object from ids, as strings, to tokens.
AddedTokens read_added_decoder(const Json& config, std::string_view name) {
  const Json& decoder = json_member(config, "added_tokens_decoder", name);
  if (!decoder.is_object()) fail_data("{}: \"added_tokens_decoder\" must be an object", name);
  std::vector<AddedToken> tokens;
  for (const auto& [key, entry] : decoder.items()) {
    std::int64_t id = -1;
    const auto result = std::from_chars(key.data(), key.data() + key.size(), id);
    if (result.ec != std::errc() || result.ptr != key.data() + key.size()) {
      fail_data("{}: the key {} of \"added_tokens_decoder\" is not an id", name, printable(key));
    }
    tokens.push_back(read_added_token(entry, id, name));
  }
  return {std::move(tokens), name};
}

void check_tokenizer_class(const Json& config, std::string_view name) {
  const std::string& type = json_string(config, "tokenizer_class", name);
  if (type != "Qwen2Tokenizer" && type != "Qwen2TokenizerFast") {
    fail_kind(name, "tokenizer_class", type, "Qwen2Tokenizer");
  }
  if (json_find(config, "add_prefix_space") != nullptr &&
      json_bool(config, "add_prefix_space", name)) {
    fail_kind(name, "tokenizer_class", "one with add_prefix_space", "without add_prefix_space");
  }
}

std::vector<BpeMerge> read_merges_text(FileSystem& files, const fs::path& path,
                                       const BpeVocabulary& vocabulary) {
  const std::string text = read_file(files, path);
  BpeMergeReader reader(vocabulary, path.string());
  bool first = true;
  for (std::string_view line : split(text, '\n')) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool version = first && line.starts_with("#version");
    first = false;
    if (!version && !line.empty()) reader.add(line);
  }
  return reader.finish();
}

}  // namespace

BpeDefinition read_tokenizer_json(FileSystem& files, const fs::path& path) {
  const std::string name = path.string();
  const Json root = read_json(files, path);
  const Json& model = json_member(root, "model", name);
  check_model(model, name);
  BpeDefinition definition;
  definition.nfc = read_nfc(root, name);
  check_pre_tokenizer(root, name);
  check_decoder(root, name);
  definition.vocabulary = read_vocabulary(json_member(model, "vocab", name), name);
  definition.merges = read_merges(model, definition.vocabulary, name);
  definition.added = read_added_list(root, name);
  check_added_tokens(definition.vocabulary, definition.added, name);
  return definition;
}

BpeDefinition read_bpe_folder(FileSystem& files, const fs::path& folder) {
  if (files.exists(folder / "tokenizer.json")) {
    return read_tokenizer_json(files, folder / "tokenizer.json");
  }
  if (files.exists(folder / "vocab.json")) return read_vocab_and_merges(files, folder);
  fail_data(
      "{}: holds no byte-level BPE; expected tokenizer.json, or vocab.json with merges.txt and "
      "tokenizer_config.json",
      folder.string());
}

BpeDefinition read_vocab_and_merges(FileSystem& files, const fs::path& folder) {
  const fs::path config_path = folder / "tokenizer_config.json";
  const fs::path vocab_path = folder / "vocab.json";
  const Json config = read_json(files, config_path);
  check_tokenizer_class(config, config_path.string());
  BpeDefinition definition;
  definition.vocabulary = read_vocabulary(read_json(files, vocab_path), vocab_path.string());
  definition.merges = read_merges_text(files, folder / "merges.txt", definition.vocabulary);
  definition.added = read_added_decoder(config, config_path.string());
  check_added_tokens(definition.vocabulary, definition.added, config_path.string());
  return definition;
}

}  // namespace weft::data
