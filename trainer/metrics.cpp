#include "trainer/metrics.h"

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"

namespace weft::trainer {

namespace {

constexpr std::string_view kEvalPrefix = "eval_";

/// The part of a logged step that is equal in equal runs.
Json history_entry(const StepMetrics& m) {
  Json json;
  json["step"] = m.step;
  json["epoch"] = m.epoch;
  json["loss"] = m.loss;
  json["learning_rate"] = m.learning_rate;
  json["grad_norm"] = m.grad_norm;
  return json;
}

Json to_json(const StepMetrics& m) {
  Json json = history_entry(m);
  json["tokens"] = m.tokens;
  json["trained_tokens"] = m.trained_tokens;
  json["skipped_updates"] = m.skipped_updates;
  json["tokens_per_second"] = m.tokens_per_second;
  json["model_flops_per_second"] = m.model_flops_per_second;
  json["memory_bytes"] = m.memory_bytes;
  json["seconds"] = m.seconds;
  return json;
}

Json to_json(const EvalMetrics& m) {
  Json json;
  json["step"] = m.step;
  json["epoch"] = m.epoch;
  for (const auto& [name, value] : m.values) {
    json[name] = value;
  }
  return json;
}

bool belongs_before(std::string_view line, std::int64_t step, std::string_view name) {
  try {
    return json_int(parse_json(line, name), "step", name) <= step;
  } catch (const Error& error) {
    log_warning("left out of the resumed log: {}", error.what());
    return false;
  }
}

}  // namespace

void cut_metrics(FileSystem& files, const fs::path& path, std::int64_t step) {
  if (!files.exists(path)) {
    return;
  }
  const std::string text = read_file(files, path);
  std::string kept;
  std::size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    if (!line.empty() &&
        belongs_before(line, step, fmt::format("{} line {}", path.string(), number))) {
      kept.append(line).push_back('\n');
    }
  }
  if (kept != text) {
    publish_file(files, path, kept);
  }
}

MetricsLog::MetricsLog(FileSystem& files, const fs::path& output_dir, std::int64_t resumed_step,
                       std::vector<Json> history, bool tensorboard)
    : history_(std::move(history)) {
  const fs::path path = output_dir / "metrics.jsonl";
  cut_metrics(files, path, resumed_step);
  file_ = files.open_append(path);
  if (tensorboard) {
    tensorboard_ = std::make_unique<TensorBoardWriter>(files, output_dir / "tensorboard",
                                                       resumed_step, wall_clock());
  }
}

void MetricsLog::scalar(std::string_view tag, std::int64_t step, double value, double wall_time) {
  tensorboard_->add_scalar(tag, step, static_cast<float>(value), wall_time);
}

void MetricsLog::add(const StepMetrics& m) {
  history_.push_back(history_entry(m));
  file_->append(dump_json(to_json(m)) + "\n");
  if (!tensorboard_) {
    return;
  }
  const double now = wall_clock();
  scalar("train/loss", m.step, m.loss, now);
  scalar("train/learning_rate", m.step, m.learning_rate, now);
  scalar("train/grad_norm", m.step, m.grad_norm, now);
  scalar("train/epoch", m.step, m.epoch, now);
  scalar("train/tokens", m.step, static_cast<double>(m.tokens), now);
  scalar("train/trained_tokens", m.step, static_cast<double>(m.trained_tokens), now);
  scalar("train/tokens_per_second", m.step, m.tokens_per_second, now);
  scalar("train/model_flops_per_second", m.step, m.model_flops_per_second, now);
  scalar("train/memory_bytes", m.step, static_cast<double>(m.memory_bytes), now);
}

void MetricsLog::add(const EvalMetrics& m) {
  history_.push_back(to_json(m));
  file_->append(dump_json(history_.back()) + "\n");
  if (!tensorboard_) {
    return;
  }
  const double now = wall_clock();
  for (const auto& [name, value] : m.values) {
    const bool prefixed = name.starts_with(kEvalPrefix);
    scalar(prefixed ? "eval/" + name.substr(kEvalPrefix.size()) : "eval/" + name, m.step, value,
           now);
  }
}

}  // namespace weft::trainer
