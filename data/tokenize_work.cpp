#include "data/tokenize_work.h"

#include <fmt/format.h>

#include <chrono>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/sha256.h"
#include "data/tokenize_sources.h"

namespace weft::data {

namespace {

constexpr std::size_t kLongestName = 150;  // file systems allow 255 bytes for the whole
constexpr int kAttempts = 100;
constexpr std::string_view kWorkSuffix = ".partial";
constexpr std::string_view kRecipeFile = "recipe.json";

std::string record_name(std::size_t shard) { return fmt::format("shard-{:05}.json", shard); }

Json to_json(const TokenizePosition& at) {
  return {{"source", at.source}, {"row", at.row}, {"documents", at.documents}};
}

TokenizePosition position_from_json(const Json& json, std::string_view name) {
  return {.source = json_int(json, "source", name),
          .row = json_int(json, "row", name),
          .documents = json_int(json, "documents", name)};
}

bool is_whole(FileSystem& files, const fs::path& path, const ShardEntry& entry) {
  return files.exists(path) &&
         files.open(path, /*follow_links=*/false)->size() ==
             static_cast<std::uint64_t>(entry.bytes) &&
         sha256_file(files, path) == entry.sha256;
}

}  // namespace

fs::path TokenizeWork::path_of(const fs::path& out_folder) {
  const std::string name = out_folder.filename().string();
  return out_folder.parent_path() / fmt::format(".{}{}", name.substr(0, kLongestName), kWorkSuffix);
}

TokenizeWork::TokenizeWork(FileSystem& files, const fs::path& out_folder,
                           const ShardIdentity& identity, const Json& recipe)
    : files_(files),
      out_(out_folder),
      folder_(path_of(out_folder)),
      identity_(identity),
      recipe_(recipe) {
  try {
    lock();
    if (files_.exists(folder_ / kRecipeFile)) {
      take_up();
    }
    begin();
  } catch (...) {
    // A destructor does not run for an object that was not made. Only what holds no shard may go.
    lock_.reset();
    if (!files_.exists(folder_ / record_name(0))) {
      remove_tokenize_work(files_, out_);
    }
    throw;
  }
}

void TokenizeWork::lock() {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    files_.make_folders(folder_);
    lock_ = FolderLock::try_lock(folder_);
    if (!lock_) {
      fail_config(
          "output_dir {}: another process is tokenising into it now (it holds {}); wait for it to "
          "end, or choose another",
          out_.string(), folder_.string());
    }
    // The process that held it may have ended, and removed the folder, in between.
    if (lock_->holds(folder_)) {
      return;
    }
  }
  fail_data("{}: appears and vanishes; is another process removing it?", folder_.string());
}

/// What an earlier run left. Damage is no error: what is damaged is made again.
void TokenizeWork::take_up() {
  const std::string name = (folder_ / kRecipeFile).string();
  Json before;
  try {
    before = json_member(read_json(files_, folder_ / kRecipeFile), "recipe", name);
  } catch (const Error&) {
    before = nullptr;
  }
  if (before.is_object() && recipe_fingerprint(before) == identity_.fingerprint) {
    while (take_up_shard(done_.shards.size())) {
    }
    recorded_ = done_.shards.size();
  } else if (before.is_object() && files_.exists(folder_ / record_name(0))) {
    fail_config(
        "output_dir {}: {} holds what an unfinished run made of other inputs or options ({}); go "
        "back to those to finish it, remove that folder to start over, or choose another "
        "output_dir",
        out_.string(), folder_.string(), recipe_difference(before, recipe_));
  }
}

bool TokenizeWork::take_up_shard(std::size_t number) {
  const fs::path path = folder_ / record_name(number);
  if (!files_.exists(path)) {
    return false;
  }
  const std::string name = path.string();
  try {
    const Json json = read_json(files_, path);
    ShardEntry entry = shard_from_json(json_member(json, "shard", name), name);
    if (json_string(json, "fingerprint", name) != identity_.fingerprint ||
        !is_whole(files_, shards() / entry.file, entry)) {
      return false;
    }
    std::vector<SourceCounts> sources;
    for (const Json& source : json_member(json, "sources", name)) {
      sources.push_back(source_from_json(source, name));
    }
    const TokenizePosition next = position_from_json(json_member(json, "next", name), name);
    if (next.source < 0 || next.row < 0 || next.documents < 0 ||
        std::ssize(sources) != next.source + 1) {
      return false;
    }
    done_.shards.push_back(std::move(entry));
    done_.next = next;
    done_.sources = std::move(sources);
    return true;
  } catch (const Error& error) {
    log_warning("{}; what follows it is made again", error.what());
    return false;
  }
}

/// Leaves the folder as if the earlier run had ended with its last whole shard.
void TokenizeWork::begin() {
  remove_unrecorded();
  files_.make_folders(shards());
  if (!files_.exists(folder_ / kRecipeFile)) {
    const Json json = {{"fingerprint", identity_.fingerprint}, {"recipe", recipe_}};
    publish_file(files_, folder_ / kRecipeFile, dump_json_pretty(json) + "\n");
  }
}

void TokenizeWork::remove_unrecorded() {
  std::set<std::string> kept_shards;
  std::set<std::string> kept{"shards"};
  if (recorded_ > 0) {
    kept.emplace(kRecipeFile);
  }
  for (std::size_t i = 0; i < recorded_; ++i) {
    kept.insert(record_name(i));
    kept_shards.insert(done_.shards[i].file);
  }
  const auto remove_others = [&](const fs::path& folder, const std::set<std::string>& names) {
    for (const std::string& name : files_.list(folder)) {
      if (!names.contains(name)) {
        files_.remove_all(folder / name);
      }
    }
  };
  if (files_.exists(shards())) {
    remove_others(shards(), kept_shards);
  }
  remove_others(folder_, kept);
}

TokenizeWork::~TokenizeWork() {
  const bool published = !lock_;
  if (published || (keep_ && recorded_ > 0)) {
    return;
  }
  try {
    files_.remove_all(folder_);
  } catch (const Error&) {
    // The error that brought us here is the one to report; the next run removes the folder.
  }
}

void TokenizeWork::record(const ShardEntry& entry, const TokenizePosition& next,
                          const std::vector<SourceCounts>& sources) {
  files_.sync_folder(shards());
  Json json = {{"fingerprint", identity_.fingerprint},
               {"shard", to_json(entry)},
               {"next", to_json(next)},
               {"sources", Json::array()}};
  for (const SourceCounts& source : sources) {
    json["sources"].push_back(to_json(source));
  }
  publish_file(files_, folder_ / record_name(recorded_), dump_json_pretty(json) + "\n");
  ++recorded_;
}

void TokenizeWork::publish() {
  files_.sync_folder(shards());
  if (files_.exists(out_)) {
    files_.remove(out_);  // empty, or this fails
  }
  files_.rename(shards(), out_);
  keep_ = false;
  files_.sync_folder(out_.parent_path());
  files_.sync_folder(folder_);
  files_.remove_all(folder_);
  lock_.reset();
}

namespace {

void remove_unless_locked(FileSystem& files, const fs::path& folder) {
  try {
    const auto lock = FolderLock::try_lock(folder);
    if (lock && lock->holds(folder)) {
      files.remove_all(folder);
    }
  } catch (const Error& error) {
    log_warning("{}", error.what());  // a leftover does no harm
  }
}

}  // namespace

void remove_tokenize_work(FileSystem& files, const fs::path& out_folder) {
  const fs::path folder = TokenizeWork::path_of(out_folder);
  if (files.exists(folder)) {
    remove_unless_locked(files, folder);
  }
}

void remove_old_tokenize_work(FileSystem& files, const fs::path& cache, int days) {
  if (!files.exists(cache)) {
    return;
  }
  const auto limit = fs::file_time_type::clock::now() - std::chrono::hours(24 * days);
  for (const std::string& name : files.list(cache)) {
    std::error_code error;
    if (name.starts_with('.') && name.ends_with(kWorkSuffix) && files.is_folder(cache / name) &&
        fs::last_write_time(cache / name, error) < limit && !error) {
      remove_unless_locked(files, cache / name);
    }
  }
}

}  // namespace weft::data
