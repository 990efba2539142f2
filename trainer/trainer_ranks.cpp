// What ranks tell each other in a step. With one rank nothing is sent, and the numbers are the
// same.

#include <ATen/ops/sum.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "base/error.h"
#include "base/log.h"
#include "distributed/scaling.h"
#include "kernels/host_copies.h"
#include "trainer/interval.h"
#include "trainer/signals.h"
#include "trainer/trainer.h"

namespace weft::trainer {
namespace {

// A rank that takes so many times the median is worth a line in the log.
constexpr double kStraggler = 2.0;
constexpr double kWorthALine = 0.2;  // seconds that the others waited
constexpr auto kBetweenWarnings = std::chrono::minutes(1);

struct BatchPart {
  std::int64_t tokens = 0;
  std::int64_t trained_tokens = 0;
  double flops = 0;
  std::int64_t passes = 0;
  std::int32_t failed = 0;
  std::int32_t stop = 0;
};

struct StepPart {
  double seconds = 0;
  std::int32_t failed = 0;
  std::int32_t stop = 0;
};

static_assert(sizeof(BatchPart) == distributed::kBatchMessage &&
              sizeof(StepPart) == distributed::kStepMessage);

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <typename Part>
bool any_failed(const std::vector<Part>& parts) {
  return std::any_of(parts.begin(), parts.end(), [](const Part& p) { return p.failed != 0; });
}

template <typename Part>
bool any_stops(const std::vector<Part>& parts) {
  return std::any_of(parts.begin(), parts.end(), [](const Part& p) { return p.stop != 0; });
}

std::int32_t flag(bool value) { return value ? 1 : 0; }

}  // namespace

void Trainer::agree_on_batch(GlobalBatch& batch, std::exception_ptr failed) {
  const BatchPart mine{batch.tokens, batch.trained_tokens,    batch.flops,
                       batch.passes, flag(failed != nullptr), flag(StopSignals::requested())};
  const auto parts = session_->group().gather(mine, session_->watchdog().where());
  if (any_failed(parts)) {
    session_->settle(failed);
  }
  stop_ = stop_ || (session_->size() > 1 && any_stops(parts));
  batch.tokens = batch.trained_tokens = 0;
  batch.flops = 0;
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    const BatchPart& part = parts[rank];
    batch.passes = std::max(batch.passes, part.passes);
    if (rank % static_cast<std::size_t>(place_.ranks) == 0) {  // one says it for its lane
      batch.tokens += part.tokens;
      batch.trained_tokens += part.trained_tokens;
      batch.flops += part.flops;
    }
  }
}

// Losses are added in the order of the micro-batches, whoever had them: bit for bit the same for
// any number of ranks. Of ranks that share a micro-batch each has a part of its loss.
double Trainer::agree_on_losses(const GlobalBatch& batch, std::vector<double> losses,
                                std::exception_ptr failed, double seconds, Interval& interval) {
  const auto size = static_cast<std::size_t>(session_->size());
  const StepPart mine{seconds, flag(failed != nullptr), flag(StopSignals::requested())};
  const auto parts = session_->group().gather(mine, session_->watchdog().where());
  if (any_failed(parts)) {
    session_->settle(failed);
  }
  stop_ = stop_ || (size > 1 && any_stops(parts));
  interval.rank_seconds.resize(size);
  for (std::size_t rank = 0; rank < size; ++rank) {
    interval.rank_seconds[rank] += parts[rank].seconds;
  }
  const auto lanes = static_cast<std::size_t>(place_.lanes);
  const auto rows = (static_cast<std::size_t>(batch.count) + lanes - 1) / lanes;
  losses.resize(rows);
  std::vector<double> all(rows * size);
  session_->group().all_gather(std::as_bytes(std::span(losses)),
                               std::as_writable_bytes(std::span(all)),
                               session_->watchdog().where());
  double sum = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(batch.count); ++i) {
    const std::size_t first = i % lanes * (size / lanes);
    for (std::size_t rank = first; rank < first + size / lanes; ++rank) {
      const double loss = all[rank * rows + i / lanes];
      if (!std::isfinite(loss) && size > 1 && session_->is_main()) {
        log_warning("step {}: the loss of a micro-batch of rank {} is {}", state_.step + 1, rank,
                    loss);
      }
      sum += loss;
    }
  }
  return sum;
}

double Trainer::waited_for_others() const {
  const model::LayerSource* layers = trainable_->model().layers();
  return (layers == nullptr ? 0 : layers->waited_seconds()) +
         (context_ == nullptr ? 0 : context_->waited_seconds());
}

// Gradients of the whole batch in the flat buffer, on every rank; the sum of its losses.
double Trainer::add_up(const GlobalBatch& batch, Interval& interval) {
  const auto began = std::chrono::steady_clock::now();
  session_->watchdog().enter("step", state_.step + 1);
  std::vector<double> losses;
  std::exception_ptr failed;
  const double waited_before = waited_for_others();
  try {
    losses = kernels::read_on_host(accumulate(batch));
    std::transform(losses.begin(), losses.end(), losses.begin(), std::negate<>());
  } catch (const Error& error) {
    failed = std::current_exception();
    if (error.kind() == ErrorKind::kPeer) {
      session_->settle(failed);  // throws it: there is nobody left to agree with
    }
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed && context_ != nullptr) {
    session_->leave(failed);  // the others of its group have lost this rank by now
  }
  // Waiting for what the others have is not this rank's work.
  const double seconds = seconds_since(began) - (waited_for_others() - waited_before);
  session_->watchdog().enter("gradients", state_.step + 1);
  const double sum = agree_on_losses(batch, std::move(losses), failed, seconds, interval);
  session_->group().all_reduce(trainable_->parameters().gradients(), session_->watchdog().where());
  return sum;
}

// Ranks that share micro-batches make the same passes, those of the one that has the least memory.
void Trainer::agree_on_memory() {
  const auto group = [this](std::int64_t mine) {
    const auto all = session_->group().gather(mine, "memory");
    const auto first = all.begin() + place_.lane * place_.ranks;
    return std::vector<std::int64_t>(first, first + place_.ranks);
  };
  const MemoryChoice mine = memory_;
  if (place_.ranks > 1) {
    const auto recompute = group(flag(memory_.gradient_checkpointing));
    memory_.gradient_checkpointing = *std::max_element(recompute.begin(), recompute.end()) != 0;
    const auto limits = group(memory_.tokens_per_pass);
    memory_.tokens_per_pass = 0;  // none
    for (const std::int64_t tokens : limits) {
      if (tokens > 0 && (memory_.tokens_per_pass == 0 || tokens < memory_.tokens_per_pass)) {
        memory_.tokens_per_pass = tokens;
      }
    }
  }
  if (memory_.gradient_checkpointing != mine.gradient_checkpointing ||
      memory_.tokens_per_pass != mine.tokens_per_pass) {
    memory_.plan = {};  // it is of other passes
  }
  trainable_->model().set_recompute(memory_.gradient_checkpointing);
}

// A GPU's memory that is taken and given back piece by piece stays in pieces.
void Trainer::reserve_memory() {
  if (device_->is_cuda()) {
    trainable_->model().reserve(memory_.plan.activations, memory_.plan.scratch);
  }
}

// Equal updates of equal values stay equal, bit for bit. A rank where they did not is broken, and
// would spoil the run in silence.
void Trainer::check_in_step() {
  if (session_->size() == 1) {
    return;
  }
  const at::Tensor bits = trainable_->parameters().values().view(at::kInt);
  constexpr std::int64_t kPiece = 1 << 20;  // the sum may widen its input, which takes memory
  std::int64_t sum = 0;
  for (std::int64_t begin = 0; begin < bits.numel(); begin += kPiece) {
    const std::int64_t length = std::min(kPiece, bits.numel() - begin);
    sum += bits.narrow(0, begin, length).sum(at::kLong).item<std::int64_t>();
  }
  const std::vector<std::int64_t> sums = session_->group().gather(sum, "comparing weights");
  for (std::size_t rank = 1; rank < sums.size(); ++rank) {
    if (sums[rank] != sums[0]) {
      fail(ErrorKind::kInternal,
           "step {}: what is trained differs between rank 0 and rank {}, which must hold equal "
           "bits; check that host's memory and program. Nothing of this step is saved",
           state_.step, rank);
    }
  }
}

void Trainer::warn_of_stragglers(const Interval& interval) {
  if (interval.rank_seconds.size() < 2 || !session_->is_main()) {
    return;
  }
  std::vector<double> sorted = interval.rank_seconds;
  std::sort(sorted.begin(), sorted.end());
  const double median = sorted[(sorted.size() - 1) / 2];
  const auto now = std::chrono::steady_clock::now();
  const bool recent = last_straggler_warning_.time_since_epoch().count() != 0 &&
                      now - last_straggler_warning_ < kBetweenWarnings;
  if (recent || sorted.back() < kStraggler * median || sorted.back() - median < kWorthALine) {
    return;
  }
  last_straggler_warning_ = now;
  const auto slowest = std::max_element(interval.rank_seconds.begin(), interval.rank_seconds.end());
  const auto rank = static_cast<std::size_t>(slowest - interval.rank_seconds.begin());
  log_warning("step {}: rank {} ({}) takes {:.1f} times as long as the others; all wait for it",
              state_.step, rank, session_->ranks()[rank].host, *slowest / median);
}

std::map<std::string, std::string> Trainer::fingerprints() const {
  std::map<std::string, std::string> values = config_.settings();
  values.merge(config_.identity());
  values["weft"] = WEFT_VERSION;
  values["base model"] = state_.identity.at("base");
  values["tokenizer"] = state_.identity.at("tokenizer");
  values["files of the datasets"] = datasets_signature_;
  values["shard_base"] = config_.shard_base;
  values["output_dir"] = config_.output_dir;
  values["logging_steps"] = std::to_string(config_.logging_steps);
  values["kind of device"] = fmt::format("{} in {}", device_->is_cuda() ? "GPU" : "CPU",
                                         dtype_ == at::kBFloat16 ? "bf16" : "fp32");
  return values;
}

}  // namespace weft::trainer
