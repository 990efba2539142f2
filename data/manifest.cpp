#include "data/manifest.h"

#include <fmt/format.h>

#include <limits>
#include <set>

#include "base/checked.h"
#include "base/error.h"
#include "base/json.h"
#include "base/text.h"

namespace weft::data {

namespace {

constexpr std::string_view kManifestFormat = "weft.shards";
constexpr std::int64_t kManifestVersion = 1;

std::int64_t count_member(const Json& json, std::string_view key, std::string_view name) {
  const std::int64_t value = json_int(json, key, name);
  if (value < 0) {
    fail_data("{}: '{}' is {}, expected 0 or more", name, key, value);
  }
  return value;
}

/// A count that folders made before it was counted do not have.
std::int64_t count_member_or_zero(const Json& json, std::string_view key, std::string_view name) {
  return json_find(json, key) == nullptr ? 0 : count_member(json, key, name);
}

std::string digest_member(const Json& json, std::string_view key, std::string_view name) {
  const std::string& value = json_string(json, key, name);
  if (value.size() != 64 || value.find_first_not_of("0123456789abcdef") != std::string::npos) {
    fail_data("{}: '{}' is '{}', expected 64 hexadecimal digits", name, key, printable(value));
  }
  return value;
}

const Json& list_member(const Json& json, std::string_view key, std::string_view name) {
  const Json& list = json_member(json, key, name);
  if (!list.is_array()) {
    fail_data("{}: '{}' is not a list", name, key);
  }
  return list;
}

void put_counts(Json& json, const ShardCounts& counts) {
  json["documents"] = counts.documents;
  json["tokens"] = counts.tokens;
  json["trained_tokens"] = counts.trained_tokens;
}

ShardCounts get_counts(const Json& json, std::string_view name) {
  return {.documents = count_member(json, "documents", name),
          .tokens = count_member(json, "tokens", name),
          .trained_tokens = count_member(json, "trained_tokens", name)};
}

}  // namespace

Json to_json(const SourceCounts& source) {
  Json json = {{"path", source.path}, {"rows", source.rows}};
  put_counts(json, source.kept);
  json["left_out"] = source.left_out;
  json["duplicates"] = source.duplicates;
  json["dropped"] = source.dropped;
  json["empty"] = source.empty;
  json["no_target"] = source.no_target;
  json["overlong_dropped"] = source.overlong_dropped;
  json["truncated"] = source.truncated;
  json["split"] = source.split;
  json["tokens_lost"] = source.tokens_lost;
  json["first_dropped"] = source.first_dropped;
  return json;
}

SourceCounts source_from_json(const Json& json, std::string_view name) {
  return {.path = json_string(json, "path", name),
          .rows = count_member(json, "rows", name),
          .kept = get_counts(json, name),
          .left_out = count_member_or_zero(json, "left_out", name),
          .duplicates = count_member_or_zero(json, "duplicates", name),
          .dropped = count_member_or_zero(json, "dropped", name),
          .empty = count_member(json, "empty", name),
          .no_target = count_member(json, "no_target", name),
          .overlong_dropped = count_member(json, "overlong_dropped", name),
          .truncated = count_member(json, "truncated", name),
          .split = count_member(json, "split", name),
          .tokens_lost = count_member(json, "tokens_lost", name),
          .first_dropped = json_find(json, "first_dropped") == nullptr
                               ? std::string()
                               : json_string(json, "first_dropped", name)};
}

Json to_json(const ShardEntry& shard) {
  Json json = {{"file", shard.file}, {"bytes", shard.bytes}};
  put_counts(json, shard.counts);
  json["sha256"] = shard.sha256;
  return json;
}

ShardEntry shard_from_json(const Json& json, std::string_view name) {
  ShardEntry shard{.file = json_string(json, "file", name),
                   .bytes = count_member(json, "bytes", name),
                   .counts = get_counts(json, name),
                   .sha256 = digest_member(json, "sha256", name)};
  const bool plain = !shard.file.empty() && shard.file.front() != '.' &&
                     shard.file.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (!plain) {
    fail_data("{}: 'file' is '{}', expected the plain name of a file beside {}", name,
              printable(shard.file), kManifestName);
  }
  return shard;
}

namespace {

void check_totals(const Json& json, const Manifest& manifest, std::string_view name) {
  const ShardCounts claimed = get_counts(json, name);
  const ShardCounts summed = manifest.totals();
  if (claimed != summed) {
    fail_data("{}: says {} documents with {} tokens ({} trained), its shards sum to {}, {} ({})",
              name, claimed.documents, claimed.tokens, claimed.trained_tokens, summed.documents,
              summed.tokens, summed.trained_tokens);
  }
  std::set<std::string> names;
  for (const ShardEntry& shard : manifest.shards) {
    if (!names.insert(shard.file).second) {
      fail_data("{}: lists shard '{}' twice", name, printable(shard.file));
    }
  }
}

}  // namespace

ShardCounts Manifest::totals() const {
  ShardCounts sum;
  for (const ShardEntry& shard : shards) {
    sum.documents = checked_add(sum.documents, shard.counts.documents, "documents");
    sum.tokens = checked_add(sum.tokens, shard.counts.tokens, "tokens");
    sum.trained_tokens =
        checked_add(sum.trained_tokens, shard.counts.trained_tokens, "trained tokens");
  }
  return sum;
}

bool is_shard_folder(FileSystem& files, const fs::path& path) {
  return files.exists(path) && files.is_folder(path) && files.exists(path / kManifestName);
}

void write_manifest(FileSystem& files, const fs::path& folder, const Manifest& manifest) {
  Json json = {{"format", kManifestFormat},
               {"version", kManifestVersion},
               {"tokenizer_sha256", manifest.identity.tokenizer_sha256},
               {"vocab_size", manifest.identity.vocab_size},
               {"fingerprint", manifest.identity.fingerprint}};
  put_counts(json, manifest.totals());
  json["recipe"] = manifest.recipe;
  json["sources"] = Json::array();
  for (const SourceCounts& source : manifest.sources) {
    json["sources"].push_back(to_json(source));
  }
  json["shards"] = Json::array();
  for (const ShardEntry& shard : manifest.shards) {
    json["shards"].push_back(to_json(shard));
  }
  write_synced(files, folder / kManifestName, dump_json_pretty(json) + "\n");
}

Manifest read_manifest(FileSystem& files, const fs::path& folder) {
  const fs::path path = folder / kManifestName;
  if (!files.exists(path)) {
    fail_data(
        "{}: is not a folder of token shards: it has no {} (a run of 'weft tokenize' that did "
        "not finish leaves none)",
        folder.string(), kManifestName);
  }
  const std::string name = path.string();
  const Json json = read_json(files, path);
  if (json_string(json, "format", name) != kManifestFormat ||
      json_int(json, "version", name) != kManifestVersion) {
    fail_data(
        "{}: format '{}' version {}, expected '{}' version {}: made by another version of weft?",
        name, printable(json_string(json, "format", name)), json_int(json, "version", name),
        kManifestFormat, kManifestVersion);
  }
  Manifest manifest;
  manifest.identity = {.tokenizer_sha256 = digest_member(json, "tokenizer_sha256", name),
                       .vocab_size = json_int(json, "vocab_size", name),
                       .fingerprint = digest_member(json, "fingerprint", name)};
  if (manifest.identity.vocab_size < 1 ||
      manifest.identity.vocab_size > std::numeric_limits<std::int32_t>::max()) {
    fail_data("{}: 'vocab_size' is {}, expected 1 to {}", name, manifest.identity.vocab_size,
              std::numeric_limits<std::int32_t>::max());
  }
  manifest.recipe = json_member(json, "recipe", name);
  if (!manifest.recipe.is_object()) {
    fail_data("{}: 'recipe' is not an object", name);
  }
  for (const Json& source : list_member(json, "sources", name)) {
    manifest.sources.push_back(source_from_json(source, name));
  }
  for (const Json& shard : list_member(json, "shards", name)) {
    manifest.shards.push_back(
        shard_from_json(shard, fmt::format("{}: shard {}", name, manifest.shards.size())));
  }
  check_totals(json, manifest, name);
  return manifest;
}

}  // namespace weft::data
