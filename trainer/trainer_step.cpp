// One optimizer step: its micro-batches, their gradients, the update.

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "kernels/host_copies.h"
#include "model/flops.h"
#include "trainer/interval.h"
#include "trainer/micro_batches.h"
#include "trainer/trainer.h"

namespace weft::trainer {
namespace {

// Between the numbers of two passes of one micro-batch: more than a run has micro-batches.
constexpr std::uint64_t kPassStride = std::uint64_t{1} << 40;

}  // namespace

Trainer::GlobalBatch Trainer::next_global_batch() {
  // An update never mixes two epochs: the last one of an epoch may have fewer micro-batches, as in
  // transformers.
  const TracePhase phase("data");
  session_->watchdog().enter("data", state_.step + 1);
  GlobalBatch batch;
  std::exception_ptr failed;
  try {
    saving_.check();
    const data::LoaderState at = loader_->state();
    batch.count =
        std::min(micro_batches_per_step(), loader_->batches_in_epoch(at.epoch) - at.batch);
    for (std::int64_t i = place_.lane; i < batch.count; i += place_.lanes) {
      batch.micro.push_back(loader_->next());
      batch.tokens += static_cast<std::int64_t>(batch.micro.back().tokens.size());
      batch.trained_tokens += batch.micro.back().trained_tokens;
      batch.passes += static_cast<std::int64_t>(passes_of(batch.micro.back()).size());
    }
    if (batch.count < micro_batches_per_step() && place_.lanes > 1) {
      loader_->seek({at.epoch + 1, 0});  // some lanes may have had a micro-batch less
    }
    batch.flops = model_flops(batch.micro);
  } catch (...) {
    failed = std::current_exception();
  }
  agree_on_batch(batch, failed);
  return batch;
}

std::vector<data::MicroBatch> Trainer::passes_of(const data::MicroBatch& micro) const {
  const data::MicroBatch batch =
      trainable_->model().device().is_cuda() ? sorted_by_length(micro) : micro;
  std::vector<data::MicroBatch> passes = memory_.tokens_per_pass == 0
                                             ? std::vector<data::MicroBatch>{batch}
                                             : split_micro_batch(batch, memory_.tokens_per_pass);
  if (trainable_->model().records_passes()) {
    const std::int64_t most = memory_.tokens_per_pass == 0
                                  ? config_.max_length * config_.per_device_train_batch_size
                                  : memory_.tokens_per_pass;
    for (data::MicroBatch& pass : passes) {
      pass = sorted_by_length(filled_up(pass, most, config_.max_length));
    }
  }
  return passes;
}

// A pass over a micro-batch: all of it, or this rank's part.
model::PackedBatch Trainer::packed(const data::MicroBatch& pass) const {
  const model::Qwen3Model& model = trainable_->model();
  const std::int64_t vocabulary = model.config().vocab_size;
  return place_.ranks == 1
             ? model::make_packed_batch(pass.tokens, pass.mask, pass.cu_seqlens, vocabulary,
                                        model.device())
             : model::make_context_batch(pass.tokens, pass.mask, pass.cu_seqlens, vocabulary,
                                         model.device(), place_.rank, place_.ranks);
}

// The sum of the targets' log-probabilities; not read yet.
at::Tensor Trainer::run_micro_batch(const data::MicroBatch& micro, std::uint64_t number,
                                    double scale) {
  model::Qwen3Model& model = trainable_->model();
  at::Tensor sum;
  for (const data::MicroBatch& pass : passes_of(micro)) {
    const model::Qwen3Model::StepKey key{dropout_seed(config_, place_), number};
    const at::Tensor part = model.forward_backward(packed(pass), scale, key).sum(at::kDouble);
    sum = sum.defined() ? sum + part : part;
    number += kPassStride;
    session_->watchdog().tick();
  }
  return sum;
}

// The log-probabilities of this rank's micro-batches added up, one number each, where the model is:
// the host does not wait for a GPU. Their gradients are added to the flat buffer.
std::vector<at::Tensor> Trainer::accumulate(const GlobalBatch& batch) {
  const double scale = 1.0 / static_cast<double>(batch.trained_tokens);
  std::vector<at::Tensor> sums;
  auto number = static_cast<std::uint64_t>(state_.counters["micro_batches"] + place_.lane);
  const auto all = [&] {
    for (const data::MicroBatch& micro : batch.micro) {
      sums.push_back(run_micro_batch(micro, number, scale));
      number += static_cast<std::uint64_t>(place_.lanes);
    }
  };
  make_passes(trainable_->model().layers(), model::PassKind::kForwardBackward, batch.passes, all,
              context_.get());
  return sums;
}

double Trainer::model_flops(const std::vector<data::MicroBatch>& micro_batches) const {
  double flops = 0;
  for (const data::MicroBatch& micro : micro_batches) {
    flops += model::training_flops(
        trainable_->model().config(),
        {static_cast<std::int64_t>(micro.tokens.size()), micro.trained_tokens, micro.cu_seqlens,
         trainable_->adapter_parameters(), trainable_->trains_weights()});
  }
  return flops;
}

void Trainer::handle_non_finite(double loss, double norm) {
  ++state_.skipped_updates;
  ++state_.skipped_in_a_row;
  const std::string what =
      fmt::format("step {}: loss {:.6g}, gradient norm {:.6g}", state_.step + 1, loss, norm);
  if (config_.nonfinite == "stop") {
    fail(ErrorKind::kNumerics,
         "{} is not finite; nothing was updated. Lower learning_rate, or look at the data of this "
         "step",
         what);
  }
  if (state_.skipped_in_a_row > config_.nonfinite_skip_limit) {
    fail(ErrorKind::kNumerics,
         "{} is not finite, the {}th update in a row; nonfinite_skip_limit is {}", what,
         state_.skipped_in_a_row, config_.nonfinite_skip_limit);
  }
  log_warning("{} is not finite; this update is left out", what);
}

// The host's only wait in a step. On a GPU it shows which of the two is the slower one.
std::vector<double> Trainer::wait_for_numbers(const std::vector<at::Tensor>& numbers,
                                              std::int64_t passes,
                                              std::chrono::steady_clock::time_point began) {
  using Seconds = std::chrono::duration<double>;
  const auto launched = std::chrono::steady_clock::now();
  std::vector<double> values = kernels::read_on_host(numbers);
  const bool may_record =
      device_->is_cuda() && !config_.cuda_graphs && why_no_graphs(config_).empty();
  if (may_record && passes > 0 &&
      launches_.add(Seconds(launched - began).count(),
                    Seconds(std::chrono::steady_clock::now() - launched).count(), passes)) {
    log_info(
        "the GPU waits for its kernels to be launched, which takes the host {:.3g} ms of a step: "
        "cuda_graphs: true may be faster, and so are larger micro-batches",
        1e3 * launches_.launching_seconds());
  }
  return values;
}

// With one rank the update is decided on and made where the gradients are, and the host waits once
// a step: for the numbers that it reports.
Trainer::StepNumbers Trainer::step_alone(const GlobalBatch& batch, double learning_rate) {
  TracePhase phase("step");  // what is in it and has no name of its own
  const auto began = std::chrono::steady_clock::now();
  session_->watchdog().enter("step", state_.step + 1);
  std::vector<at::Tensor> numbers = accumulate(batch);
  phase.next("optimizer");
  session_->watchdog().enter("optimizer", state_.step + 1);
  const at::Tensor squared = optimizer_->squared_gradient_norm();
  // A loss that is not finite shuts the gate as well; 0 times any other adds nothing.
  at::Tensor gate = squared;
  for (const at::Tensor& sum : numbers) {
    gate = gate + sum * 0.0;
  }
  optimizer_->step_through(learning_rate, {gate, config_.max_grad_norm});
  trainable_->refresh();
  numbers.push_back(squared);
  numbers.push_back(gate);
  const std::vector<double> values = wait_for_numbers(numbers, batch.passes, began);
  StepNumbers result;
  for (std::size_t i = 0; i < batch.micro.size(); ++i) {
    result.loss_sum -= values[i];
  }
  result.norm = std::sqrt(values[values.size() - 2]);
  result.updated = std::isfinite(values.back());
  if (result.updated) {
    optimizer_->count_step();
  }
  return result;
}

// Rank 0's norm decides for all, to the last bit: another's threads or processor may add up
// differently.
Trainer::StepNumbers Trainer::step_together(const GlobalBatch& batch, double learning_rate,
                                            Interval& interval) {
  TracePhase phase("step");
  StepNumbers result;
  result.loss_sum = add_up(batch, interval);
  phase.next("optimizer");
  session_->watchdog().enter("optimizer", state_.step + 1);
  result.norm =
      session_->group().gather(optimizer_->gradient_norm(), session_->watchdog().where()).front();
  result.updated = std::isfinite(result.loss_sum) && std::isfinite(result.norm);
  if (result.updated) {
    const double clip = config_.max_grad_norm > 0
                            ? std::min(1.0, config_.max_grad_norm / (result.norm + 1e-6))
                            : 1.0;
    optimizer_->step(learning_rate, clip);
    trainable_->refresh();
  }
  return result;
}

void Trainer::update(const GlobalBatch& batch, Interval& interval) {
  interval.learning_rate = schedule_.peak_learning_rate * schedule_factor(schedule_, state_.step);
  interval.grad_norm = 0;
  if (batch.trained_tokens == 0) {
    log_warning("step {}: no token of this batch is a target; nothing is updated", state_.step + 1);
  } else {
    optimizer_->zero_gradients();
    const StepNumbers numbers = session_->size() == 1
                                    ? step_alone(batch, interval.learning_rate)
                                    : step_together(batch, interval.learning_rate, interval);
    if (numbers.updated) {
      state_.skipped_in_a_row = 0;
      interval.grad_norm = numbers.norm;
      state_.unlogged_loss_sum += numbers.loss_sum;
      state_.unlogged_trained_tokens += batch.trained_tokens;
    } else {
      handle_non_finite(numbers.loss_sum / static_cast<double>(batch.trained_tokens), numbers.norm);
    }
  }
  ++state_.step;
  state_.counters["micro_batches"] += batch.count;
  state_.tokens += batch.tokens;
  state_.trained_tokens += batch.trained_tokens;
  state_.model_flops += batch.flops;
  interval.flops += batch.flops;
  interval.tokens += batch.tokens;
}

}  // namespace weft::trainer
