#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "trainer/run_config_keys.h"

namespace weft::trainer {

namespace {

using Lines = std::vector<std::string>;

// "Set" is told by the value, so that a resolved file, which holds every key, reads back as it was.
const RunConfig kDefaults;

void check_lengths(const RunConfig& c, Lines& problems, Lines& notes) {
  if (c.max_steps == 0) {
    problems.emplace_back("max_steps: is 0; expected at least 1, or -1 for num_train_epochs");
  }
  if (c.max_steps > 0 && c.num_train_epochs != kDefaults.num_train_epochs) {
    notes.push_back(fmt::format("max_steps: {} wins over num_train_epochs", c.max_steps));
  }
  if (c.warmup_steps > 0 && c.warmup_ratio > 0) {
    problems.push_back(fmt::format("warmup_steps: {} and warmup_ratio: {} are both set; keep one",
                                   c.warmup_steps, c.warmup_ratio));
  }
  if (c.max_steps > 0 && c.warmup_steps >= c.max_steps && c.schedule.type != "constant") {
    notes.push_back(fmt::format("the warm-up of {} steps does not end within max_steps: {}",
                                c.warmup_steps, c.max_steps));
  }
  if (c.schedule.type == "constant" && (c.warmup_steps > 0 || c.warmup_ratio > 0)) {
    problems.emplace_back(
        "lr_scheduler_type: constant has no warm-up; use constant_with_warmup, or leave "
        "warmup_steps and warmup_ratio out");
  }
}

struct ScheduleKey {
  std::string_view key;
  std::vector<std::string_view> used_by;
};

/// A parameter that the schedule would ignore is a mistake in one of the two.
void check_schedule_keys(const RunConfig& c, Lines& problems) {
  static const std::array keys = {
      ScheduleKey{"lr_num_cycles",
                  {"cosine", "cosine_with_restarts", "cosine_with_min_lr", "warmup_stable_decay"}},
      ScheduleKey{"min_lr", {"cosine_with_min_lr"}},
      ScheduleKey{"min_lr_rate", {"cosine_with_min_lr", "warmup_stable_decay"}},
      ScheduleKey{"lr_end", {"polynomial"}},
      ScheduleKey{"lr_power", {"polynomial"}},
      ScheduleKey{"lr_decay_steps", {"warmup_stable_decay"}},
      ScheduleKey{"lr_decay_type", {"warmup_stable_decay"}},
      ScheduleKey{"lr_timescale", {"inverse_sqrt"}}};
  const ScheduleOptions& s = c.schedule;
  const std::array<bool, keys.size()> set = {s.num_cycles.has_value(),  s.min_lr.has_value(),
                                             s.min_lr_rate.has_value(), s.lr_end.has_value(),
                                             s.power.has_value(),       s.decay_steps.has_value(),
                                             s.decay_type.has_value(),  s.timescale.has_value()};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto& used_by = keys[i].used_by;
    if (set[i] && std::find(used_by.begin(), used_by.end(), s.type) == used_by.end()) {
      problems.push_back(fmt::format("{}: lr_scheduler_type: {} does not use it; {} does",
                                     keys[i].key, s.type, fmt::join(used_by, ", ")));
    }
  }
}

void check_schedule_values(const RunConfig& c, Lines& problems) {
  const ScheduleOptions& s = c.schedule;
  if (s.type == "cosine_with_min_lr" && s.min_lr.has_value() == s.min_lr_rate.has_value()) {
    problems.push_back(fmt::format(
        "lr_scheduler_type: cosine_with_min_lr needs exactly one of min_lr and min_lr_rate; {}",
        s.min_lr ? "both are set" : "none is set"));
  }
  if (s.type == "warmup_stable_decay" && !s.decay_steps) {
    problems.emplace_back("lr_scheduler_type: warmup_stable_decay needs lr_decay_steps");
  }
  if (s.decay_steps && c.max_steps > 0 && c.warmup_steps + *s.decay_steps > c.max_steps) {
    problems.push_back(fmt::format(
        "lr_decay_steps: warmup_steps + lr_decay_steps = {} + {} = {} is more than max_steps: {}",
        c.warmup_steps, *s.decay_steps, c.warmup_steps + *s.decay_steps, c.max_steps));
  }
  if (c.learning_rate && s.min_lr && *s.min_lr > *c.learning_rate) {
    problems.push_back(
        fmt::format("min_lr: {} is above learning_rate: {}", *s.min_lr, *c.learning_rate));
  }
  if (c.learning_rate && s.type == "polynomial" && s.lr_end.value_or(1e-7) >= *c.learning_rate) {
    problems.push_back(fmt::format("lr_end: {} must be below learning_rate: {}",
                                   s.lr_end.value_or(1e-7), *c.learning_rate));
  }
}

void check_graphs(const RunConfig& c, Lines& problems) {
  if (c.cuda_graphs) {
    for (const std::string& why : why_no_graphs(c)) {
      problems.push_back("cuda_graphs: true " + why + ", or cuda_graphs: false");
    }
  }
}

void check_extended(const RunConfig& c, Lines& problems) {
  if (c.extended_lora()) {
    for (const std::string& why : why_plain_lora(c)) {
      problems.push_back("lora_gemm: extended " + why + "; set lora_gemm: plain");
    }
  }
}

void check_adapter(const RunConfig& c, Lines& problems, Lines& notes) {
  if (c.finetuning_type != "full") {
    return;
  }
  if (c.shard_base != "none") {
    problems.push_back(
        fmt::format("shard_base: {} needs a frozen base; finetuning_type: full trains it, whole on "
                    "every rank",
                    c.shard_base));
  }
  if (!c.adapter_name_or_path.empty()) {
    problems.emplace_back(
        "adapter_name_or_path: finetuning_type: full trains no adapter; merge it into the base "
        "first");
  }
  if (c.fp8_base()) {
    problems.emplace_back(
        "base_dtype: fp8 holds what is frozen, and finetuning_type: full freezes nothing; set "
        "base_dtype: auto, or finetuning_type: lora");
  }
  const std::pair<const char*, bool> keys[] = {
      {"lora_rank", c.lora_rank != kDefaults.lora_rank},
      {"lora_alpha", c.lora_alpha != kDefaults.lora_alpha},
      {"lora_dropout", c.lora_dropout != kDefaults.lora_dropout},
      {"lora_target", c.lora_target != kDefaults.lora_target},
      {"use_rslora", c.use_rslora != kDefaults.use_rslora}};
  for (const auto& [key, set] : keys) {
    if (set) {
      notes.push_back(fmt::format("{} has no effect with finetuning_type: full", key));
    }
  }
}

void check_weights(const RunConfig& c, Lines& problems) {
  const auto weighted = [](const data::TokenizeInput& input) { return input.weight.has_value(); };
  const auto set = std::count_if(c.datasets.begin(), c.datasets.end(), weighted);
  if (set != 0 && set != std::ssize(c.datasets)) {
    problems.push_back(fmt::format("datasets: weight is set on {} of {}; set it on all or on none",
                                   set, c.datasets.size()));
  }
  if (set != 0 && (c.tokenize.deduplicate || c.val_size.value_or(0) >= 1)) {
    problems.emplace_back(
        "datasets: weight needs each dataset in shards of its own, which deduplicate and a number "
        "for val_size do not give; tokenise them first, or give val_size as a fraction");
  }
  if (std::any_of(c.eval_datasets.begin(), c.eval_datasets.end(), weighted)) {
    problems.emplace_back(
        "eval_datasets: weight has no meaning there: every document is evaluated once");
  }
}

/// Rows that are to be seen together are tokenised together, into one set that has one weight.
void check_split(const RunConfig& c, Lines& problems) {
  if (c.val_size) {
    if (std::string problem = data::val_size_problem(*c.val_size); !problem.empty()) {
      problems.push_back("val_size: " + problem);
    }
    if (!c.eval_datasets.empty()) {
      problems.emplace_back("val_size: eval_datasets says what to evaluate on; keep one of them");
    }
  }
  const bool together = c.tokenize.deduplicate || (c.val_size && *c.val_size >= 1);
  if (together && c.datasets.size() > 1 && c.datasets.front().weight) {
    problems.push_back(fmt::format(
        "{}: looks at all datasets together and cannot go with weight; tokenise them with weft "
        "tokenize first",
        c.tokenize.deduplicate ? "deduplicate" : "val_size"));
  }
}

void check_evaluation(const RunConfig& c, Lines& problems) {
  const bool evaluates = c.has_evaluation_data() && c.eval_strategy != "no";
  if (!c.has_evaluation_data() && (c.eval_strategy == "steps" || c.eval_strategy == "epoch")) {
    problems.push_back(fmt::format("eval_strategy: {} needs eval_datasets", c.eval_strategy));
  }
  if (!c.has_evaluation_data() && c.eval_steps) {
    problems.emplace_back("eval_steps: needs eval_datasets");
  }
  if (c.eval_steps && (c.eval_strategy == "no" || c.eval_strategy == "epoch")) {
    problems.push_back(
        fmt::format("eval_steps: eval_strategy: {} does not use it", c.eval_strategy));
  }
  if (c.early_stopping_patience && !evaluates) {
    problems.emplace_back("early_stopping_patience: needs evaluations: set eval_datasets");
  }
  if (c.early_stopping_threshold != kDefaults.early_stopping_threshold &&
      !c.early_stopping_patience) {
    problems.emplace_back("early_stopping_threshold: needs early_stopping_patience");
  }
  if (c.load_best_model_at_end && !evaluates) {
    problems.emplace_back("load_best_model_at_end: needs evaluations: set eval_datasets");
  }
}

/// The best model can only be kept if there is a checkpoint of each evaluated step.
void check_best_model(const RunConfig& c, Lines& problems) {
  if (!c.load_best_model_at_end || !c.has_evaluation_data()) {
    return;
  }
  const std::string eval = c.eval_strategy != "auto" ? c.eval_strategy
                           : c.eval_steps            ? "steps"
                                                     : "epoch";
  const std::int64_t eval_steps = c.eval_steps.value_or(c.save_steps);
  if (eval != c.save_strategy) {
    problems.push_back(
        fmt::format("load_best_model_at_end: save_strategy: {} must equal eval_strategy: {}",
                    c.save_strategy, eval));
  } else if (eval == "steps" && c.save_steps % eval_steps != 0) {
    problems.push_back(
        fmt::format("load_best_model_at_end: save_steps: {} must be a multiple of eval_steps: {}; "
                    "{} = {} x {} + {}",
                    c.save_steps, eval_steps, c.save_steps, c.save_steps / eval_steps, eval_steps,
                    c.save_steps % eval_steps));
  }
}

void check_saving(const RunConfig& c, Lines& problems, Lines& notes) {
  if (c.save_strategy == "no" && (c.save_total_limit || c.save_steps != kDefaults.save_steps)) {
    notes.emplace_back("save_steps and save_total_limit have no effect with save_strategy: no");
  }
  if (c.nonfinite == "stop" && c.nonfinite_skip_limit != kDefaults.nonfinite_skip_limit) {
    problems.emplace_back("nonfinite_skip_limit: needs nonfinite: skip");
  }
  const auto same_folder = [](const std::string& a, const std::string& b) {
    return !a.empty() && !b.empty() &&
           fs::path(a + "/").lexically_normal() == fs::path(b + "/").lexically_normal();
  };
  if (same_folder(c.output_dir, c.model_name_or_path)) {
    problems.emplace_back(
        "output_dir: is the folder of the base model, which weft never writes into");
  }
  if (same_folder(c.output_dir, c.adapter_name_or_path)) {
    problems.emplace_back("output_dir: is the folder of the adapter to start from; choose another");
  }
}

}  // namespace

void check_run_config(const RunConfig& config, std::vector<std::string>& problems,
                      std::vector<std::string>& notes) {
  check_lengths(config, problems, notes);
  check_schedule_keys(config, problems);
  check_schedule_values(config, problems);
  check_adapter(config, problems, notes);
  check_graphs(config, problems);
  check_extended(config, problems);
  check_weights(config, problems);
  check_split(config, problems);
  check_evaluation(config, problems);
  check_best_model(config, problems);
  check_saving(config, problems, notes);
}

// A recording keeps the numbers that its kernels were launched with.
std::vector<std::string> why_no_graphs(const RunConfig& c) {
  Lines reasons;
  if (c.lora_dropout > 0) {
    reasons.emplace_back("can't draw other masks for each micro-batch; set lora_dropout: 0");
  }
  if (c.shard_base != "none") {
    reasons.push_back(fmt::format(
        "needs the whole base at one place; set shard_base: none instead of {}", c.shard_base));
  }
  if (c.context_parallel_size > 1) {
    reasons.push_back(
        fmt::format("can't record what ranks exchange; set context_parallel_size: 1 instead of {}",
                    c.context_parallel_size));
  }
  return reasons;
}

// What has no room for adapters beside a matrix, or cannot multiply by both at once.
std::vector<std::string> why_plain_lora(const RunConfig& c) {
  if (c.finetuning_type == "full") {
    return {"puts adapters beside frozen matrices, and finetuning_type: full has neither"};
  }
  Lines reasons;
  if (c.lora_dropout > 0) {
    reasons.push_back(
        fmt::format("multiplies by all adapters of a matrix at once, and lora_dropout: {} has a "
                    "mask for each",
                    c.lora_dropout));
  }
  if (c.fp8_base()) {
    reasons.emplace_back(
        "has matrix and adapters in one type, and base_dtype: fp8 has 8 bits for the matrix");
  }
  if (c.shard_base != "none") {
    reasons.push_back(
        fmt::format("needs a matrix that stays where it is, and shard_base: {} gathers it anew "
                    "in each pass",
                    c.shard_base));
  }
  return reasons;
}

}  // namespace weft::trainer
