#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "base/sha256.h"
#include "base/text.h"
#include "data/file_patterns.h"
#include "data/tokenize_chat_config.h"
#include "data/tokenize_sources.h"

namespace weft::data {

namespace {

/// Raise it when the same inputs and options begin to give other shards.
constexpr int kRecipeVersion = 2;

constexpr std::size_t kHashBlock = std::size_t{4} << 20;

/// The SHA-256 of input files, with progress: of a large corpus it takes a while.
class InputHasher {
 public:
  InputHasher(FileSystem& files, std::span<const TokenizeSource> sources,
              const TokenizeOptions& options)
      : files_(files), options_(options), block_(kHashBlock) {
    progress_.stage = TokenizeStage::kHashing;
    for (const TokenizeSource& source : sources) {
      progress_.total_bytes += source.bytes;
      for (const fs::path& path : source.files) {
        for (const fs::path& other : companion_files(files, path)) {
          progress_.total_bytes += files.open(other)->size();
        }
      }
    }
  }

  std::string hash(const fs::path& path) {
    const auto file = files_.open(path);
    Sha256 digest;
    for (std::uint64_t offset = 0; offset < file->size(); offset += block_.size()) {
      const auto count = std::min<std::uint64_t>(block_.size(), file->size() - offset);
      const std::span<std::byte> part = std::span(block_).first(static_cast<std::size_t>(count));
      file->read_at(offset, part);
      digest.update(part);
      progress_.bytes += count;
      if (options_.progress) {
        options_.progress(progress_);
      }
    }
    return digest.finish();
  }

 private:
  FileSystem& files_;
  const TokenizeOptions& options_;
  std::vector<std::byte> block_;
  TokenizeProgress progress_;
};

Json source_recipe(FileSystem& files, InputHasher& hasher, const TokenizeSource& source) {
  const TokenizeInput& input = source.input;
  Json json = {{"format", source.format.name()},
               {"sample_by", input.sample_by},
               {"separator", input.separator},
               {"text_field", input.text_field},
               {"prompt_field", input.prompt_field},
               {"response_field", input.response_field},
               {"files", Json::array()}};
  if (source.format.kind == RowFormat::Kind::kShape) {
    json["preference"] = input.preference;
    json["columns"] = Json(input.fields.columns);
    json["tags"] = Json(input.fields.tags);
  }
  if (input.sample) {
    json["sample"] = {*input.sample, input.sample_seed};
  }
  if (input.max_samples) {
    json["max_samples"] = *input.max_samples;
  }
  for (const fs::path& path : source.files) {
    // The name, not the place: data that was moved is still the same data.
    json["files"].push_back({path.filename().string(), hasher.hash(path)});
    for (const fs::path& other : companion_files(files, path)) {
      json["files"].back().push_back(hasher.hash(other));
    }
  }
  return json;
}

}  // namespace

Json tokenize_recipe(FileSystem& files, std::span<const TokenizeSource> sources,
                     const Tokenizer& tokenizer, const TokenizeOptions& options) {
  Json json = {{"recipe_version", kRecipeVersion},
               {"tokenizer", tokenizer.sha256()},
               {"vocab_size", tokenizer.vocab_size()},
               {"max_length", nullptr},
               {"overlong", overlong_name(options.overlong)},
               {"shard_tokens", options.shards.shard_tokens},
               {"compress", options.shards.compress},
               {"end_token", options.end_token},
               {"chats", chat_recipe(options.chat)}};
  if (options.split) {
    json["split"] = {options.split->size, options.split->validation ? "validation" : "train"};
  }
  if (options.deduplicate) {
    json["deduplicate"] = true;
  }
  if (options.max_length) {
    json["max_length"] = *options.max_length;
  }
  InputHasher hasher(files, sources, options);
  int number = 0;
  for (const TokenizeSource& source : sources) {
    json[fmt::format("dataset {}", ++number)] = source_recipe(files, hasher, source);
  }
  return json;
}

std::string recipe_fingerprint(const Json& recipe) { return sha256_hex(dump_json(recipe)); }

std::string recipe_difference(const Json& before, const Json& now) {
  const auto short_text = [](const Json& json) { return printable(dump_json(json), 60); };
  for (const auto& [key, value] : now.items()) {
    if (!before.contains(key)) {
      return fmt::format("{} is new", key);
    }
    if (before[key] == value) {
      continue;
    }
    if (value.is_object() && before[key].is_object()) {
      return fmt::format("{}: {}", key, recipe_difference(before[key], value));
    }
    return fmt::format("{} was {} and is {}", key, short_text(before[key]), short_text(value));
  }
  for (const auto& [key, value] : before.items()) {
    if (!now.contains(key)) {
      return fmt::format("{} is gone", key);
    }
  }
  return "nothing differs";
}

}  // namespace weft::data
