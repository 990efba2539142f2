#include "model/checkpoint_index.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "model/safetensors_json.h"

namespace weft::model {
namespace {

constexpr std::uint64_t kMaxIndexBytes = 100'000'000;
constexpr std::size_t kMaxShards = 10'000;
constexpr std::size_t kMaxListed = 10;

void add_disagreements(const CheckpointIndex& index, const std::string& shard,
                       const SafetensorsFile& file, std::vector<std::string>& problems) {
  for (const auto& [name, info] : file.tensors()) {
    const auto listed = index.shard_of.find(name);
    if (listed == index.shard_of.end()) {
      problems.push_back(fmt::format("'{}' is in {} but not in the index", printable(name), shard));
    } else if (listed->second != shard) {
      problems.push_back(fmt::format("'{}' is in {} but the index says {}", printable(name), shard,
                                     printable(listed->second)));
    }
  }
}

void add_missing(const CheckpointIndex& index, std::span<const SafetensorsFile> opened,
                 std::vector<std::string>& problems) {
  for (const auto& [name, shard] : index.shard_of) {
    const auto position = std::lower_bound(index.shards.begin(), index.shards.end(), shard);
    const auto at = static_cast<std::size_t>(position - index.shards.begin());
    if (!opened[at].contains(name)) {
      problems.push_back(fmt::format("'{}' is not in {}", printable(name), shard));
    }
  }
}

}  // namespace

CheckpointIndex read_checkpoint_index(FileSystem& files, const fs::path& path) {
  CheckpointIndex index;
  index.path = path.string();
  const Json json = parse_json(read_file(files, path, kMaxIndexBytes), index.path);
  const Json& map = json_member(json, "weight_map", index.path);
  if (!map.is_object() || map.empty()) {
    fail_data("{}: 'weight_map' must be an object that gives each tensor its file", index.path);
  }
  std::set<std::string> shards;
  for (const auto& [name, shard] : map.items()) {
    const std::string problem = tensor_name_problem(name);
    if (!problem.empty()) {
      fail_data("{}: tensor name '{}' {}", index.path, printable(name), problem);
    }
    if (!shard.is_string()) {
      fail_data("{}: 'weight_map' has {} for tensor '{}'; a file name is expected", index.path,
                printable(dump_json(shard)), printable(name));
    }
    index.shard_of[name] = shard.get<std::string>();
    shards.insert(shard.get<std::string>());
  }
  if (shards.size() > kMaxShards) {
    fail_data("{}: names {} files; at most {} are supported", index.path, shards.size(),
              kMaxShards);
  }
  index.shards.assign(shards.begin(), shards.end());
  return index;
}

void check_index(const CheckpointIndex& index, std::span<const SafetensorsFile> opened) {
  std::vector<std::string> problems;
  for (std::size_t i = 0; i < opened.size(); ++i) {
    add_disagreements(index, index.shards[i], opened[i], problems);
  }
  add_missing(index, opened, problems);
  if (problems.empty()) return;
  const std::size_t count = problems.size();
  if (count > kMaxListed) {
    problems.resize(kMaxListed);
    problems.push_back(fmt::format("and {} more", count - kMaxListed));
  }
  fail_data("{}: the index and its files disagree: {}", index.path, join(problems, "; "));
}

std::string index_text(const ShardPlan& plan) {
  std::map<std::string, std::string> shard_of;
  for (std::size_t shard = 0; shard < plan.shards.size(); ++shard) {
    for (const TensorSpec& tensor : plan.shards[shard]) {
      shard_of[tensor.name] = shard_name(shard, plan.shards.size());
    }
  }
  Json map = Json::object();
  // Appended in order: operator[] of ordered JSON looks through all keys each time.
  Json::object_t::Container& members = map.get_ref<Json::object_t&>();
  for (const auto& [name, shard] : shard_of) members.emplace_back(name, shard);
  Json index = {
      {"metadata", {{"total_parameters", plan.total_elements}, {"total_size", plan.total_bytes}}}};
  index["weight_map"] = std::move(map);
  return dump_json_pretty(index) + "\n";
}

}  // namespace weft::model
