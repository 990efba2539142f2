#include "trainer/checkpoint_state.h"

#include <set>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

namespace weft::trainer {

namespace {

using StringMap = std::map<std::string, std::string>;

Json own_part(const TrainerState& s) {
  Json json;
  json["format_version"] = kCheckpointVersion;
  json["loader"] = {{"epoch", s.loader_epoch}, {"batch", s.loader_batch}};
  json["trained_tokens"] = s.trained_tokens;
  json["skipped_updates"] = s.skipped_updates;
  json["skipped_in_a_row"] = s.skipped_in_a_row;
  json["unlogged"] = {{"loss_sum", s.unlogged_loss_sum},
                      {"trained_tokens", s.unlogged_trained_tokens}};
  json["checks_without_progress"] = s.best.checks_without_progress;
  json["counters"] = s.counters;
  json["identity"] = s.identity;
  json["settings"] = s.settings;
  return json;
}

StringMap string_map(const Json& json, std::string_view key, std::string_view name) {
  StringMap result;
  const Json& member = json_member(json, key, name);
  if (!member.is_object()) {
    fail_data("{}: {} must be an object of strings", name, key);
  }
  for (const auto& [each, value] : member.items()) {
    result[each] = json_string(member, each, name);
  }
  return result;
}

std::map<std::string, std::int64_t> int_map(const Json& json, std::string_view key,
                                            std::string_view name) {
  std::map<std::string, std::int64_t> result;
  const Json& member = json_member(json, key, name);
  if (!member.is_object()) {
    fail_data("{}: {} must be an object of integers", name, key);
  }
  for (const auto& [each, value] : member.items()) {
    result[each] = json_int(member, each, name);
  }
  return result;
}

std::int64_t count(const Json& json, std::string_view key, std::string_view name) {
  const std::int64_t value = json_int(json, key, name);
  if (value < 0) {
    fail_data("{}: {} is {}; it must not be negative", name, key, value);
  }
  return value;
}

void read_own_part(const Json& json, std::string_view name, TrainerState& s) {
  const std::int64_t version = json_int(json, "format_version", name);
  if (version != kCheckpointVersion) {
    fail_data("{}: format_version is {}, expected {}", name, version, kCheckpointVersion);
  }
  const Json& loader = json_member(json, "loader", name);
  s.loader_epoch = count(loader, "epoch", name);
  s.loader_batch = count(loader, "batch", name);
  s.trained_tokens = count(json, "trained_tokens", name);
  s.skipped_updates = count(json, "skipped_updates", name);
  s.skipped_in_a_row = count(json, "skipped_in_a_row", name);
  const Json& unlogged = json_member(json, "unlogged", name);
  s.unlogged_loss_sum = json_number(unlogged, "loss_sum", name);
  s.unlogged_trained_tokens = count(unlogged, "trained_tokens", name);
  s.best.checks_without_progress = count(json, "checks_without_progress", name);
  s.counters = int_map(json, "counters", name);
  s.identity = string_map(json, "identity", name);
  s.settings = string_map(json, "settings", name);
}

/// "KEY: OLD in the checkpoint, NEW now" for each key whose value differs or that only one side
/// has.
std::vector<std::string> differences(const StringMap& saved, const StringMap& now) {
  std::set<std::string> keys;
  for (const auto& [key, value] : saved) {
    keys.insert(key);
  }
  for (const auto& [key, value] : now) {
    keys.insert(key);
  }
  const auto shown = [](const StringMap& map, const std::string& key) {
    const auto found = map.find(key);
    return found == map.end() ? std::string("not set") : printable(found->second);
  };
  std::vector<std::string> result;
  for (const std::string& key : keys) {
    if (const auto old = saved.find(key), fresh = now.find(key);
        old == saved.end() || fresh == now.end() || old->second != fresh->second) {
      result.push_back(
          fmt::format("{}: {} in the checkpoint, {} now", key, shown(saved, key), shown(now, key)));
    }
  }
  return result;
}

}  // namespace

std::string trainer_state_text(const TrainerState& s) {
  Json json;
  json["best_global_step"] = s.best.value ? Json(s.best.step) : Json(nullptr);
  json["best_metric"] = s.best.value ? Json(*s.best.value) : Json(nullptr);
  json["epoch"] = s.epoch;
  json["global_step"] = s.step;
  json["log_history"] = s.log_history;
  json["max_steps"] = s.max_steps;
  json["num_input_tokens_seen"] = s.tokens;
  json["total_flos"] = s.model_flops;
  json["weft"] = own_part(s);
  return dump_json_pretty(json) + "\n";
}

TrainerState parse_trainer_state(std::string_view text, std::string_view name) {
  const Json json = parse_json(text, name);
  TrainerState s;
  if (json_find(json, "best_metric") != nullptr) {
    s.best.value = json_number(json, "best_metric", name);
    s.best.step = count(json, "best_global_step", name);
  }
  s.epoch = json_number(json, "epoch", name);
  s.step = count(json, "global_step", name);
  s.max_steps = count(json, "max_steps", name);
  s.tokens = count(json, "num_input_tokens_seen", name);
  s.model_flops = json_number(json, "total_flos", name);
  const Json& history = json_member(json, "log_history", name);
  if (!history.is_array()) {
    fail_data("{}: log_history must be a list", name);
  }
  s.log_history.assign(history.begin(), history.end());
  read_own_part(json_member(json, "weft", name), name, s);
  return s;
}

void check_same_run(const TrainerState& saved, const StringMap& identity, const StringMap& settings,
                    std::string_view name) {
  if (const auto changed = differences(saved.identity, identity); !changed.empty()) {
    fail_config("{} belongs to another run: {}; change it back, or choose another output_dir", name,
                join(changed, "; "));
  }
  for (const std::string& line : differences(saved.settings, settings)) {
    log_info("resuming with a changed setting: {}", line);
  }
}

}  // namespace weft::trainer
