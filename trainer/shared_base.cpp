#include "trainer/shared_base.h"

#include <ATen/ops/empty.h>

#include <chrono>
#include <exception>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"

namespace weft::trainer {

BaseSharing open_base_sharing(const RunConfig& config, distributed::Session& session) {
  if (config.shard_base == "none" || session.size() == 1) {
    return {};
  }
  std::vector<int> members;
  if (config.shard_base == "node") {
    members = distributed::ranks_of_node(session.ranks(), session.rank());
  } else {
    for (const distributed::RankInfo& info : session.ranks()) {
      members.push_back(info.rank);
    }
  }
  if (members.size() == 1) {
    log_warning("shard_base: {}: rank {} is alone on its host and holds the whole base",
                config.shard_base, session.rank());
    return {};
  }
  return {session.open_gather(members, "base"), [&session] { return session.watchdog().where(); }};
}

void make_passes(model::LayerSource* layers, model::PassKind kind, std::int64_t passes,
                 const std::function<void()>& body, model::ContextExchange* context) {
  std::exception_ptr failed;
  model::LayerSource* begun = nullptr;
  try {
    if (layers != nullptr) {
      layers->begin(kind, passes);
      begun = layers;
    }
    body();
  } catch (const Error& error) {
    failed = std::current_exception();
    if (error.kind() == ErrorKind::kPeer) {
      begun = nullptr;  // there is nobody left to go along with
    }
  } catch (...) {
    failed = std::current_exception();
  }
  if (failed && context != nullptr) {
    context->abort();
    begun = nullptr;
  }
  if (begun != nullptr) {
    begun->finish();
  }
  if (failed) {
    std::rethrow_exception(failed);
  }
}

SharedBase::SharedBase(const model::CheckpointReader& reader, const model::Qwen3Config& config,
                       const model::Weights& whole, BaseSharing sharing, bool fp8)
    : config_(config), norms_(whole.layers), sharing_(std::move(sharing)) {
  const at::TensorOptions options = whole.embed.options().dtype(at::kByte);
  cut_ = model::cut_layer(config_, whole.embed.scalar_type(), sharing_.count(), fp8);
  shares_ = at::empty({config_.num_hidden_layers, cut_.share}, options);
  ProgressLine progress("loading this rank's share",
                        static_cast<std::uint64_t>(config_.num_hidden_layers), "layers");
  for (std::int64_t i = 0; i < config_.num_hidden_layers; ++i) {
    model::load_layer_share(reader, config_, cut_, i, sharing_.gather->rank(),
                            shares_.select(0, i));
    progress.update(static_cast<std::uint64_t>(i + 1));
  }
  progress.finish();
  for (Slot& slot : slots_) {
    slot.flat = at::empty({cut_.bytes()}, options);
  }
}

std::int64_t SharedBase::pass_length() const {
  return config_.num_hidden_layers * (kind_ == model::PassKind::kForward ? 1 : 2);
}

std::int64_t SharedBase::layer_at(std::int64_t position) const {
  const std::int64_t layers = config_.num_hidden_layers;
  const std::int64_t at = position % pass_length();
  return at < layers ? at : 2 * layers - 1 - at;
}

void SharedBase::begin(model::PassKind kind, std::int64_t passes) {
  if (position_ != end_) {
    fail_internal("passes are announced while {} layers of earlier ones are left",
                  end_ - position_);
  }
  kind_ = kind;
  position_ = 0;
  end_ = passes * pass_length();
  fetch_ahead();
}

void SharedBase::start(std::int64_t layer) {
  Slot& slot = slots_[1 - current_];
  slot.layer = -1;
  fetching_ = layer;
  sharing_.gather->start(shares_.select(0, layer), slot.flat,
                         fmt::format("{}, layer {}", sharing_.where(), layer));
}

// Makes the slot that holds the layer the current one.
void SharedBase::wait_for(std::int64_t layer) {
  if (slots_[current_].layer == layer) {
    return;
  }
  Slot& other = slots_[1 - current_];
  if (other.layer != layer) {
    if (fetching_ != layer) {
      start(layer);
    }
    const auto began = std::chrono::steady_clock::now();
    sharing_.gather->wait();
    waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    fetching_ = -1;
    other.layer = layer;
    other.weights = model::view_layer(cut_, other.flat, norms_[static_cast<std::size_t>(layer)]);
  }
  current_ = 1 - current_;
}

// The next layer that is another than the current one goes into the other slot.
void SharedBase::fetch_ahead() {
  std::int64_t position = position_;
  while (position < end_ && layer_at(position) == slots_[current_].layer) {
    ++position;
  }
  if (position < end_ && fetching_ < 0 && slots_[1 - current_].layer != layer_at(position)) {
    start(layer_at(position));
  }
}

const model::LayerWeights& SharedBase::layer(std::int64_t index) {
  if (position_ == end_ || layer_at(position_) != index) {
    fail_internal("layer {} is asked for; expected {}", index,
                  position_ == end_ ? "none: no pass was announced"
                                    : fmt::format("layer {}", layer_at(position_)));
  }
  wait_for(index);
  ++position_;
  fetch_ahead();
  return slots_[current_].weights;
}

void SharedBase::skip_pass() {
  if (position_ == end_ || position_ % pass_length() != 0) {
    fail_internal("a pass is skipped where none begins");
  }
  for (std::int64_t left = pass_length(); left > 0; --left) {
    (void)layer(layer_at(position_));
  }
}

void SharedBase::finish() {
  while (position_ < end_) {
    (void)layer(layer_at(position_));
  }
}

}  // namespace weft::trainer
