#include "trainer/trainer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "base/trace.h"
#include "kernels/device_properties.h"
#include "kernels/recorded_work.h"
#include "trainer/base_model.h"
#include "trainer/datasets.h"
#include "trainer/device.h"
#include "trainer/interval.h"
#include "trainer/lora_trial.h"
#include "trainer/memory_plan.h"
#include "trainer/signals.h"

namespace weft::trainer {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Trainer::Trainer(FileSystem& files, RunConfig config, distributed::Session* session)
    : files_(files),
      config_(std::move(config)),
      own_session_(session == nullptr ? std::make_unique<distributed::Session>() : nullptr),
      session_(session == nullptr ? own_session_.get() : session) {
  // Cheap things first: a wrong path or data set must not cost the time that loading the weights
  // takes, and ranks that differ are found before anything is loaded.
  if (config_.stop_timeout) {
    session_->watchdog().stop_after(
        &StopSignals::requested,
        std::chrono::milliseconds(static_cast<std::int64_t>(*config_.stop_timeout * 1000)));
  }
  session_->together("setup", [this] { prepare(); });
  session_->compare(fingerprints());
  session_->main_first("data", [this] { open_data(); });
  state_.identity["data"] = data_fingerprint(train_sets_);
  session_->compare({{"data", state_.identity["data"]}});
  session_->watchdog().enter("setup");
  choose_lora_form();
  sharing_ = open_base_sharing(config_, *session_);
  context_ = open_context_group(place_, *session_);
  session_->together("loading", [this] { load(); });
  agree_on_memory();
  session_->together("room for the passes", [this] { reserve_memory(); });
  restore();
  check_in_step();
  state_.max_steps = planned_steps();
  schedule_ = config_.schedule_options(state_.max_steps,
                                       config_.peak_learning_rate(model_config_.hidden_size));
  const std::int64_t trained = trainable_->parameters().count();
  summary_ = fmt::format(
      "{} {} of {} parameters on {}{} in {}{}{}, {} documents, {} steps, learning rate {:.3g}",
      trainable_->trains_weights() ? "full fine-tuning:" : "LoRA:",
      human_count(static_cast<double>(trained)),
      human_count(static_cast<double>(model_config_.parameter_count())),
      session_->size() > 1 ? fmt::format("{} x ", session_->size()) : "",
      device_->is_cuda() ? "GPU" : "CPU", dtype_ == at::kBFloat16 ? "bf16" : "fp32",
      config_.fp8_base() ? ", the base in fp8" : "",
      place_.ranks > 1 ? fmt::format(", {} ranks to a micro-batch", place_.ranks) : "",
      loader_->documents(), state_.max_steps, schedule_.peak_learning_rate);
}

void Trainer::prepare() {
  if (config_.num_threads) {
    at::set_num_threads(static_cast<int>(*config_.num_threads));
  }
  device_ = resolve_device(config_.device, session_->launch().local_rank);
  dtype_ = resolve_dtype(config_.dtype, *device_);
  place_ = context_place(config_, *session_);
  model_config_ = model::read_qwen3_config(files_, config_.model_name_or_path);
  if (config_.fp8_base()) {
    check_fp8_base(*device_, dtype_, model_config_);
  }
  if (config_.max_length > model_config_.max_position_embeddings) {
    fail_config(
        "max_length is {}, but {} has positions for {}; shorten it, or set rope_scaling in its "
        "config.json",
        config_.max_length, config_.model_name_or_path, model_config_.max_position_embeddings);
  }
  tokenizer_ = load_model_tokenizer(files_, config_.model_name_or_path);
  state_.identity = config_.identity();
  state_.identity["base"] = base_fingerprint(files_, config_.model_name_or_path);
  state_.identity["tokenizer"] = tokenizer_->sha256();
  state_.settings = config_.settings();
  state_.settings["ranks"] = std::to_string(session_->size());
  datasets_signature_ = datasets_signature(files_, config_);
}

// Rank 0 chooses for all.
void Trainer::choose_lora_form() {
  if (config_.lora_gemm == "auto") {
    session_->together("lora_gemm", [this] {
      if (session_->is_main()) {
        config_.lora_gemm = lora_form();
      }
    });
    const std::int64_t extended = config_.extended_lora() ? 1 : 0;
    config_.lora_gemm =
        session_->group().gather(extended, "lora_gemm").front() == 1 ? "extended" : "plain";
  }
  state_.settings["lora_gemm"] = config_.lora_gemm;
}

// A run that is taken up keeps its form, or it would not end at the same bits.
std::string Trainer::lora_form() {
  if (!device_->is_cuda() || !why_plain_lora(config_).empty()) {
    return "plain";
  }
  if (resume_point()) {
    const auto saved = resume_point()->state.settings.find("lora_gemm");
    if (saved != resume_point()->state.settings.end()) {
      return saved->second == "extended" ? "extended" : "plain";
    }
  }
  return measured_lora_form(files_, model_config_, config_, dtype_, *device_);
}

MemoryChoice Trainer::plan_passes() {
  RunConfig planned = with_attention_of(config_, model_config_, dtype_, *device_);
  planned.async_save = config_.async_save && session_->is_main();  // who writes makes the copy
  std::int64_t available = memory_limit(config_, *device_);
  // Ranks that share this host's memory, or a GPU, share what is free.
  std::int64_t sharers = std::max(session_->launch().local_world_size, 1);
  if (device_->is_cuda()) {
    const std::int64_t devices = std::max(device_count(), 1);
    sharers = (sharers + devices - 1) / devices;
    if (session_->size() > 1 && session_->group().backend() == "nccl") {
      // Its buffers come with the first collective of each communicator.
      constexpr std::int64_t kCommunicator = std::int64_t{512} << 20;
      const int communicators = 1 + (sharing_.count() > 1 ? 1 : 0) + (place_.ranks > 1 ? 1 : 0);
      available = leave_for_libraries(available, communicators * kCommunicator);
    }
  }
  return choose_memory(files_, planned, dtype_, device_->type(), available / sharers,
                       sharing_.count());
}

void Trainer::load() {
  if (device_->is_cuda()) {  // or a profile would show what it took to queue the work
    Trace::settle_by([device = *device_] { kernels::wait_for_device(device); });
  }
  memory_ = plan_passes();
  trainable_ = make_trainable(files_, config_, dtype_, *device_, sharing_);
  if (sharing_.count() > 1) {
    log_info("the base's layers are spread over {} ranks: {} of {} on each", sharing_.count(),
             human_bytes(static_cast<std::uint64_t>(model::shared_base_bytes(
                 model_config_, dtype_, sharing_.count(), config_.fp8_base()))),
             human_bytes(static_cast<std::uint64_t>(model_config_.parameter_count()) *
                         c10::elementSize(dtype_)));
  }
  trainable_->model().set_attention({config_.attn_implementation, config_.deterministic});
  trainable_->model().set_context(context_);
  if (config_.cuda_graphs) {
    trainable_->model().set_recorder(kernels::make_work_recorder(*device_));
    if (!trainable_->model().records_passes()) {
      log_warning("cuda_graphs: true has no effect on this device; launches are not recorded");
    }
  }
  optimizer_ = std::make_unique<AdamWOptimizer>(
      trainable_->parameters(), kernels::AdamWOptions{0.0, config_.adam_beta1, config_.adam_beta2,
                                                      config_.adam_epsilon, config_.weight_decay});
  choose_saving();
}

Trainer::~Trainer() = default;

void Trainer::open_data() {
  const fs::path cache = fs::path(config_.output_dir) / "data";
  const auto tick = [this] { session_->watchdog().tick(); };
  train_sets_ = open_datasets(files_, config_, DataPart::kTraining, *tokenizer_, cache, tick);
  eval_sets_ = open_datasets(files_, config_, DataPart::kEvaluation, *tokenizer_, cache, tick);
}

std::int64_t Trainer::micro_batches_per_step() const {
  return config_.gradient_accumulation_steps * place_.lanes;
}

std::int64_t Trainer::steps_in_epoch(std::int64_t epoch) const {
  const std::int64_t batches = loader_->batches_in_epoch(epoch);
  return (batches + micro_batches_per_step() - 1) / micro_batches_per_step();
}

std::int64_t Trainer::planned_steps() const {
  if (config_.max_steps > 0) {
    return config_.max_steps;
  }
  // A run that goes on with another global batch counts its steps from where it is.
  const std::string before = "micro_batches_per_step";
  const auto saved = state_.counters.find(before);
  const bool changed = state_.step > 0 && saved != state_.counters.end() &&
                       saved->second != micro_batches_per_step();
  const data::LoaderState at = changed ? loader_->state() : data::LoaderState{};
  double steps = changed ? static_cast<double>(state_.step) : 0;
  double left = config_.num_train_epochs - static_cast<double>(at.epoch);
  for (std::int64_t epoch = at.epoch; left > 0; ++epoch, left -= 1) {
    const double done =
        epoch > at.epoch
            ? 0.0
            : static_cast<double>(at.batch) / static_cast<double>(loader_->batches_in_epoch(epoch));
    steps += std::max(std::min(left, 1.0) - done, 0.0) * static_cast<double>(steps_in_epoch(epoch));
  }
  return std::max<std::int64_t>(static_cast<std::int64_t>(std::ceil(steps - 1e-9)), 1);
}

double Trainer::epoch_now() const {
  const data::LoaderState at = loader_->state();
  return static_cast<double>(at.epoch) +
         static_cast<double>(at.batch) / static_cast<double>(loader_->batches_in_epoch(at.epoch));
}

void Trainer::log_step(Interval& interval) {
  const double seconds = seconds_since(interval.began);
  StepMetrics metrics;
  metrics.step = state_.step;
  metrics.epoch = epoch_now();
  metrics.loss =
      state_.unlogged_trained_tokens == 0
          ? 0.0
          : state_.unlogged_loss_sum / static_cast<double>(state_.unlogged_trained_tokens);
  state_.unlogged_loss_sum = 0;
  state_.unlogged_trained_tokens = 0;
  metrics.learning_rate = interval.learning_rate;
  metrics.grad_norm = interval.grad_norm;
  metrics.tokens = state_.tokens;
  metrics.trained_tokens = state_.trained_tokens;
  metrics.skipped_updates = state_.skipped_updates;
  metrics.tokens_per_second = static_cast<double>(interval.tokens) / seconds;
  metrics.model_flops_per_second = interval.flops / seconds;
  metrics.memory_bytes = peak_memory_bytes(*device_);
  metrics.seconds = seconds_since(interval.run_began);
  if (metrics_) {
    metrics_->add(metrics);
  }
  warn_of_stragglers(interval);
  last_loss_ = metrics.loss;
  const auto run_began = interval.run_began;
  interval = Interval();
  interval.run_began = run_began;
}

bool Trainer::due(const std::string& strategy, std::int64_t every) const {
  if (strategy == "epoch") {
    return loader_->state().batch == 0;  // the step just done was the last one of an epoch
  }
  return strategy == "steps" && state_.step % every == 0;
}

bool Trainer::evaluate_now() {
  const TracePhase phase("evaluation");
  session_->watchdog().enter("evaluation", state_.step);
  evaluation_ = evaluate(trainable_->model(), eval_sets_, eval_loader_options(config_), *session_);
  last_evaluated_ = state_.step;
  if (metrics_) {
    metrics_->add(EvalMetrics{state_.step, epoch_now(), evaluation_->values()});
  }
  log_info("step {}: eval loss {:.4f}, exact match {:.1f}% of {} documents", state_.step,
           evaluation_->loss(), 100 * evaluation_->exact_match(), evaluation_->documents);
  const double value = config_.metric_for_best_model == "eval_exact_match"
                           ? evaluation_->exact_match()
                           : evaluation_->loss();
  const MetricVerdict verdict =
      judge_metric(config_.early_stopping(), value, state_.step, state_.best);
  if (verdict.is_best && config_.load_best_model_at_end) {
    save_checkpoint();
  }
  return verdict.stop;
}

RunResult Trainer::run() {
  std::optional<ProgressLine> progress;
  if (session_->is_main()) {
    progress.emplace("training", static_cast<std::uint64_t>(state_.max_steps), "steps");
    progress->start_from(static_cast<std::uint64_t>(state_.step));
  }
  Interval interval;
  RunResult result;
  const EarlyStoppingOptions stopping = config_.early_stopping();
  if (stopping.patience && state_.best.checks_without_progress >= *stopping.patience) {
    result.end = RunEnd::kStoppedEarly;  // that is where the resumed run had already ended
  }
  const bool evaluates = config_.eval_strategy != "no" && !eval_sets_.empty();
  while (state_.step < state_.max_steps && result.end == RunEnd::kFinished) {
    const GlobalBatch batch = next_global_batch();
    update(batch, interval);
    const bool last = state_.step == state_.max_steps;
    if (state_.step % config_.logging_steps == 0 || last) {
      const double rate = static_cast<double>(interval.tokens) / seconds_since(interval.began);
      log_step(interval);
      if (progress) {
        progress->update(static_cast<std::uint64_t>(state_.step),
                         fmt::format("loss {:.4f}  {} tokens/s", last_loss_, human_count(rate)));
      }
    }
    if (evaluates &&
        (due(config_.eval_strategy, config_.eval_steps.value_or(config_.save_steps)) || last)) {
      result.end = evaluate_now() && !last ? RunEnd::kStoppedEarly : RunEnd::kFinished;
    }
    // Several ranks act on what they have agreed on, or one would leave and the others wait.
    stop_ = stop_ || (session_->size() == 1 && StopSignals::requested());
    if (stop_ && !last) {
      result.end = RunEnd::kStoppedBySignal;
    }
    const bool leaving = last || result.end != RunEnd::kFinished;
    if (config_.save_strategy != "no" && last_saved_ != state_.step &&
        (due(config_.save_strategy, config_.save_steps) || leaving)) {
      save_checkpoint();
    }
  }
  if (progress) {
    progress->finish();
  }
  if (result.end == RunEnd::kStoppedBySignal && last_saved_ != state_.step) {
    save_checkpoint();
  }
  session_->together(
      "saving", [this] { saving_.wait(); }, state_.step);
  if (session_->size() > 1) {
    log_debug("rank {} has sent {} bytes to the others", session_->rank(),
              session_->group().bytes_sent());
  }
  if (trainable_->model().records_passes()) {
    log_debug("rank {} has launched {} passes from a recording", session_->rank(),
              trainable_->model().replayed_passes());
  }
  if (sharing_.gather != nullptr) {
    log_debug("rank {} has lent {} bytes of the base's layers", session_->rank(),
              sharing_.gather->bytes_sent());
  }
  if (context_ != nullptr) {
    log_debug("rank {} has sent {} bytes of keys, values and their gradients", session_->rank(),
              context_->bytes_sent());
  }
  result.step = state_.step;
  result.loss = last_loss_;
  result.evaluation = evaluation_;
  if (result.end != RunEnd::kStoppedBySignal) {
    session_->together(
        "saving",
        [&] {
          result.final_folder = fs::path(config_.output_dir) / "final";
          if (session_->is_main()) {
            result.final_folder = write_final();
          }
        },
        state_.step);
  }
  return result;
}

}  // namespace weft::trainer
