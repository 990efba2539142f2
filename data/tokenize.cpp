#include "data/tokenize.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "data/report.h"
#include "data/shard_set.h"
#include "data/tokenize_run.h"
#include "data/tokenize_sources.h"
#include "data/tokenize_work.h"

namespace weft::data {

namespace {

constexpr std::size_t kCacheNameDigits = 16;
constexpr int kAbandonedDays = 7;

const std::array<std::pair<Overlong, const char*>, 4> kOverlongNames{
    {{Overlong::kTruncate, "truncate"},
     {Overlong::kDrop, "drop"},
     {Overlong::kSplit, "split"},
     {Overlong::kError, "error"}}};

/// What `folder` holds already: the shards to reuse, or nothing. A config Error when it holds
/// something else.
std::optional<Manifest> find_existing(FileSystem& files, const fs::path& folder,
                                      const ShardIdentity& identity, const Json& recipe) {
  if (!files.exists(folder)) {
    return std::nullopt;
  }
  if (!files.is_folder(folder)) {
    fail_config("output_dir {}: is a file; choose another", folder.string());
  }
  if (!is_shard_folder(files, folder)) {
    if (!files.list(folder).empty()) {
      fail_config("output_dir {}: is not empty and holds no {}; choose another", folder.string(),
                  kManifestName);
    }
    return std::nullopt;
  }
  Manifest manifest = read_manifest(files, folder);
  if (manifest.identity != identity) {
    fail_config(
        "output_dir {}: holds shards of other inputs or options ({}); remove it or choose "
        "another",
        folder.string(), recipe_difference(manifest.recipe, recipe));
  }
  (void)ShardSet(files, folder, {.tokenizer_sha256 = {}, .verify = false});
  return manifest;
}

[[noreturn]] void fail_nothing_left(const std::vector<SourceCounts>& sources) {
  SourceCounts sum;
  for (const SourceCounts& source : sources) {
    sum.rows += source.rows;
    sum.empty += source.empty;
    sum.no_target += source.no_target;
    sum.overlong_dropped += source.overlong_dropped;
  }
  fail_data(
      "no document is left to train on: of {} rows {} were empty, {} had no token to train "
      "and {} were over max_length",
      sum.rows, sum.empty, sum.no_target, sum.overlong_dropped);
}

/// Inputs that were looked at, and what names their shards.
struct Plan {
  std::vector<TokenizeSource> sources;
  Json recipe;
  ShardIdentity identity;
};

Plan make_plan(FileSystem& files, std::span<const TokenizeInput> inputs, const Tokenizer& tokenizer,
               const TokenizeOptions& options) {
  Plan plan;
  plan.sources = resolve_inputs(files, inputs, options);
  plan.recipe = tokenize_recipe(files, plan.sources, tokenizer, options);
  plan.identity = {.tokenizer_sha256 = tokenizer.sha256(),
                   .vocab_size = tokenizer.vocab_size(),
                   .fingerprint = recipe_fingerprint(plan.recipe)};
  return plan;
}

fs::path without_last_slash(const fs::path& folder) {
  fs::path path = fs::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();  // "shards/" means "shards"
}

/// Makes the shards of `plan` in `work` and publishes them.
Manifest make_shards(FileSystem& files, const Plan& plan, const Tokenizer& tokenizer,
                     const TokenizeOptions& options, TokenizeWork& work) {
  Manifest manifest{.identity = plan.identity, .recipe = plan.recipe, .sources = {}, .shards = {}};
  ShardWriter writer(files, work.shards(), plan.identity, options.shards, work.done().shards);
  manifest.sources = run_tokenization(files, plan.sources, tokenizer, options, writer, work);
  manifest.shards = writer.finish();
  if (manifest.shards.empty()) {
    fail_nothing_left(manifest.sources);
  }
  write_manifest(files, work.shards(), manifest);
  const ShardSet set(files, work.shards(), {.tokenizer_sha256 = {}, .verify = false});
  write_report(files, work.shards(), make_report(set, tokenizer, options.model));
  work.publish();
  return manifest;
}

TokenizeResult run_plan(FileSystem& files, const Plan& plan, const Tokenizer& tokenizer,
                        const TokenizeOptions& options, const fs::path& out) {
  TokenizeResult result{.folder = out, .manifest = {}};
  const auto reuse = [&] {
    auto existing = find_existing(files, out, plan.identity, plan.recipe);
    if (existing) {
      result.manifest = std::move(*existing);
      result.reused = true;
    }
    return result.reused;
  };
  if (reuse()) {
    remove_tokenize_work(files, out);  // of a run that was killed when all but this was done
    return result;
  }
  files.make_folders(out.parent_path());
  remove_stale_temporaries(files, out.parent_path());
  for (const TokenizeSource& source : plan.sources) {
    if (!source.format.guessed_from.empty()) {
      log_info("{}", source.format.description(source.input.path.string()));
    }
  }
  TokenizeWork work(files, out, plan.identity, plan.recipe);
  if (reuse()) {  // made by the process that held the lock until now
    work.discard();
    return result;
  }
  result.resumed_shards = std::ssize(work.done().shards);
  if (result.resumed_shards > 0) {
    log_info("{}: going on after {} shards that an earlier run finished", out.string(),
             result.resumed_shards);
  }
  result.manifest = make_shards(files, plan, tokenizer, options, work);
  return result;
}

}  // namespace

TokenizeResult tokenize_to_shards(FileSystem& files, std::span<const TokenizeInput> inputs,
                                  const Tokenizer& tokenizer, const TokenizeOptions& options,
                                  const fs::path& out_folder) {
  const Plan plan = make_plan(files, inputs, tokenizer, options);
  return run_plan(files, plan, tokenizer, options, without_last_slash(out_folder));
}

TokenizeResult tokenize_to_cache(FileSystem& files, std::span<const TokenizeInput> inputs,
                                 const Tokenizer& tokenizer, const TokenizeOptions& options,
                                 const fs::path& cache) {
  const Plan plan = make_plan(files, inputs, tokenizer, options);
  const std::string name = plan.identity.fingerprint.substr(0, kCacheNameDigits);
  TokenizeResult result =
      run_plan(files, plan, tokenizer, options, without_last_slash(cache) / name);
  remove_old_tokenize_work(files, cache, kAbandonedDays);
  return result;
}

std::string tokenize_fingerprint(FileSystem& files, std::span<const TokenizeInput> inputs,
                                 const Tokenizer& tokenizer, const TokenizeOptions& options) {
  return make_plan(files, inputs, tokenizer, options).identity.fingerprint;
}

std::string overlong_name(Overlong overlong) {
  const auto* const found = std::find_if(kOverlongNames.begin(), kOverlongNames.end(),
                                         [&](const auto& pair) { return pair.first == overlong; });
  return found->second;
}

Overlong overlong_from_name(const std::string& name) {
  for (const auto& [overlong, word] : kOverlongNames) {
    if (name == word) {
      return overlong;
    }
  }
  fail_config("overlong is '{}', expected truncate, drop, split or error", printable(name));
}

}  // namespace weft::data
