// What of a run is on disk: how it is taken up again, saved, and finished.

#include <ATen/ops/empty.h>

#include <map>
#include <span>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "base/trace.h"
#include "model/safetensors.h"
#include "trainer/checkpoint_find.h"
#include "trainer/checkpoint_retention.h"
#include "trainer/datasets.h"
#include "trainer/device.h"
#include "trainer/trainer.h"

namespace weft::trainer {
namespace {

constexpr const char* kOptimizerFile = "optimizer.safetensors";

model::TensorSpec flat_spec(const std::string& name, const at::Tensor& flat) {
  return {name, model::DType::kFloat32, {flat.numel()}};
}

}  // namespace

const std::optional<ResumePoint>& Trainer::resume_point() {
  if (!resume_point_) {
    resume_point_ = find_resume_point(files_, config_.output_dir, config_.resume_from_checkpoint);
  }
  return *resume_point_;
}

void Trainer::restore() {
  session_->together("resume", [this] { (void)resume_point(); });
  const std::optional<ResumePoint>& point = resume_point();
  const std::vector<std::int64_t> steps =
      session_->group().gather(point ? point->state.step : std::int64_t{-1}, "resume");
  for (std::size_t rank = 1; rank < steps.size(); ++rank) {
    if (steps[rank] != steps[0]) {
      const auto text = [](std::int64_t step) {
        return step < 0 ? std::string("none") : fmt::format("that of step {}", step);
      };
      fail_config(
          "the newest whole checkpoint in {} is {} for rank 0 and {} for rank {}; output_dir must "
          "be one folder that all ranks share",
          config_.output_dir, text(steps[0]), text(steps[rank]), rank);
    }
  }
  session_->together("resume", [&] { take_up(point); });
}

void Trainer::take_up(const std::optional<ResumePoint>& point) {
  if (point) {
    check_same_run(point->state, state_.identity, state_.settings, point->folder.string());
    if (session_->is_main()) {
      set_newer_aside(files_, config_.output_dir, config_.resume_from_checkpoint, *point);
    }
    const auto identity = state_.identity;
    const auto settings = state_.settings;
    state_ = point->state;
    state_.identity = identity;
    state_.settings = settings;
    load_tensors(point->folder, /*moments=*/true);
    optimizer_->set_steps(state_.counters["updates"]);
    last_saved_ = state_.step;
    for (const Json& entry : state_.log_history) {
      last_loss_ = entry.value("loss", last_loss_);
    }
    log_info("resuming from {} (step {})", point->folder.string(), state_.step);
  }
  data::LoaderOptions options = train_loader_options(config_);
  options.rank = place_.lane;
  options.world_size = place_.lanes;
  loader_ = std::make_unique<data::Loader>(
      train_sets_, options, data::LoaderState{state_.loader_epoch, state_.loader_batch});
  if (!session_->is_main()) {
    return;
  }
  const fs::path out = config_.output_dir;
  files_.make_folders(out);
  cut_metrics(files_, out / "metrics.jsonl", state_.step);
  metrics_ = std::make_unique<MetricsLog>(files_, out, state_.step, state_.log_history,
                                          config_.report_to == "tensorboard");
}

void Trainer::load_tensors(const fs::path& folder, bool moments) {
  const auto file = model::SafetensorsFile::open(files_, folder / kOptimizerFile);
  const auto read = [&](const char* name, const at::Tensor& flat) {
    const model::TensorInfo& info = file.info(name);
    if (info.dtype != model::DType::kFloat32 ||
        info.shape != std::vector<std::int64_t>{flat.numel()}) {
      fail_data("{}: {} is {} {}, expected F32 [{}]", file.path(), name,
                model::dtype_name(info.dtype), model::shape_text(info.shape), flat.numel());
    }
    at::Tensor host = at::empty({flat.numel()}, at::TensorOptions(at::kFloat));
    file.read(info, {static_cast<std::byte*>(host.data_ptr()), host.nbytes()});
    flat.copy_(host);
  };
  read("values", trainable_->parameters().values());
  if (moments) {
    read("moment1", optimizer_->moment1());
    read("moment2", optimizer_->moment2());
  }
  trainable_->refresh();
}

// The copy that is written from is small beside the base for an adapter. A full run's is as large
// as weights and moments, and made where the host has room for it.
void Trainer::choose_saving() {
  saves_meanwhile_ = config_.async_save && config_.save_strategy != "no" && session_->is_main();
  if (!saves_meanwhile_ || !trainable_->trains_weights()) {
    return;
  }
  const std::uint64_t copy = 3 * trainable_->parameters().values().nbytes();
  const std::uint64_t room = device_->is_cpu() ? static_cast<std::uint64_t>(memory_.left)
                                               : available_memory_bytes(at::kCPU);
  saves_meanwhile_ = copy + copy / 4 <= room;
  if (!saves_meanwhile_) {
    log_info(
        "training waits for each checkpoint: to write it meanwhile takes a copy of {}, for which "
        "there is no room known beside the run",
        human_bytes(copy));
  }
}

void Trainer::save_checkpoint() {
  const TracePhase phase("saving");
  check_in_step();
  session_->together(
      "saving",
      [this] {
        if (!session_->is_main()) {
          return;
        }
        saving_.wait();
        stage_checkpoint();
        if (!saves_meanwhile_) {
          write_checkpoint();
          staged_ = {};  // as large as the model, maybe
        }
      },
      state_.step);
  // Begun when all ranks have come here: what fails on one of them leaves nothing half done.
  if (session_->is_main() && saves_meanwhile_) {
    saving_.start([this] { write_checkpoint(); });
  }
  last_saved_ = state_.step;
}

// By rank 0, for all.
void Trainer::stage_checkpoint() {
  const data::LoaderState at = loader_->state();
  state_.loader_epoch = at.epoch;
  state_.loader_batch = at.batch;
  state_.epoch = epoch_now();
  state_.counters["updates"] = optimizer_->steps();
  state_.counters["micro_batches_per_step"] = micro_batches_per_step();
  state_.log_history = metrics_->history();
  staged_.state = state_;
  const auto stage = [this](const at::Tensor& from, at::Tensor& to) {
    if (!saves_meanwhile_) {
      to = from;  // written before anything changes it
      return;
    }
    if (!to.defined()) {
      to = at::empty(from.sizes(), from.options().device(at::kCPU));
    }
    to.copy_(from);
  };
  stage(trainable_->parameters().values(), staged_.values);
  stage(optimizer_->moment1(), staged_.moment1);
  stage(optimizer_->moment2(), staged_.moment2);
}

// From what is staged alone: training may go on beside it.
void Trainer::write_checkpoint() {
  const TrainerState& state = staged_.state;
  distributed::tell_phase_observer("writing", state.step);
  CheckpointWriter writer(files_, config_.output_dir, state.step);
  trainable_->save(writer.files(), writer.folder(), staged_.values);
  const std::map<std::string, at::Tensor> tensors{
      {"values", staged_.values}, {"moment1", staged_.moment1}, {"moment2", staged_.moment2}};
  std::vector<model::TensorSpec> specs;
  for (const auto& [name, flat] : tensors) {
    specs.push_back(flat_spec(name, flat));
  }
  at::Tensor host;  // one at a time, where they are not on the host
  writer.add_tensors(kOptimizerFile, specs, [&](const std::string& name) {
    host = tensors.at(name).to(at::kCPU);
    return std::span(static_cast<const std::byte*>(host.const_data_ptr()), host.nbytes());
  });
  distributed::tell_phase_observer("publishing", state.step);
  const fs::path folder = writer.commit(state);
  log_debug("saved {}", folder.string());
  if (config_.save_total_limit) {
    const bool has_best = state.best.value.has_value();
    keep_checkpoints(files_, config_.output_dir, *config_.save_total_limit,
                     has_best ? std::optional<std::int64_t>(state.best.step) : std::nullopt);
  }
}

fs::path Trainer::write_final() {
  if (config_.load_best_model_at_end && state_.best.value && state_.best.step != state_.step) {
    const fs::path best = fs::path(config_.output_dir) / checkpoint_name(state_.best.step);
    if (files_.exists(best)) {
      load_tensors(best, /*moments=*/false);
      log_info("the best checkpoint is that of step {}", state_.best.step);
    }
  }
  const fs::path folder = fs::path(config_.output_dir) / "final";
  PublishedFolder published(files_, folder);
  trainable_->save(files_, published.path(), trainable_->parameters().values());
  // The name must be free: an earlier result steps aside, and goes once the new one is in place.
  const fs::path aside = fs::path(config_.output_dir) / ".final.old";
  files_.remove_all(aside);
  if (files_.exists(folder)) {
    files_.rename(folder, aside);
  }
  published.commit();
  files_.remove_all(aside);
  return folder;
}

}  // namespace weft::trainer
