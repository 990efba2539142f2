// Where the adapters' copies in the compute type lie in the extended form: beside the frozen
// matrices, so that a product reads both as one.

#include <ATen/ops/as_strided.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/scalar_tensor.h>

#include "adapters/lora.h"
#include "base/error.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::adapters {
namespace {

// Views of one memory at equal distances as one tensor [n, ...]; undefined where they are not that.
at::Tensor stacked(const std::vector<at::Tensor>& views) {
  const at::Tensor& first = views.front();
  const std::int64_t step =
      views.size() > 1 ? views[1].storage_offset() - first.storage_offset() : 0;
  for (std::size_t i = 0; i < views.size(); ++i) {
    const at::Tensor& view = views[i];
    if (!view.is_alias_of(first) || view.sizes() != first.sizes() ||
        view.strides() != first.strides() ||
        view.storage_offset() != first.storage_offset() + static_cast<std::int64_t>(i) * step) {
      return {};
    }
  }
  std::vector<std::int64_t> sizes = first.sizes().vec();
  std::vector<std::int64_t> strides = first.strides().vec();
  sizes.insert(sizes.begin(), static_cast<std::int64_t>(views.size()));
  strides.insert(strides.begin(), step);
  return at::as_strided(first, sizes, strides, first.storage_offset());
}

// One copy for the same one of every layer, where all are alike: a launch each. `layers` have them
// in the same order.
template <typename Copy>
std::vector<Copy> merged(const std::vector<std::vector<Copy>>& layers) {
  std::vector<Copy> all;
  for (const std::vector<Copy>& layer : layers) {
    all.insert(all.end(), layer.begin(), layer.end());
  }
  const std::size_t count = layers.front().size();
  std::vector<Copy> result;
  for (std::size_t k = 0; k < count; ++k) {
    Copy one{{}, {}, layers.front()[k].scale};
    std::vector<at::Tensor> masters;
    std::vector<at::Tensor> places;
    for (const std::vector<Copy>& layer : layers) {
      if (layer.size() != count || layer[k].scale != one.scale) {
        return all;
      }
      masters.push_back(layer[k].master);
      places.push_back(layer[k].place);
    }
    one.master = stacked(masters);
    one.place = stacked(places);
    if (!one.master.defined() || !one.place.defined()) {
      return all;
    }
    result.push_back(one);
  }
  return result;
}

}  // namespace

std::int64_t LoraAdapters::ranks_of(const std::vector<std::size_t>& modules) const {
  std::int64_t ranks = 0;
  for (const std::size_t i : modules) {
    ranks += modules_[i].rank;
  }
  return ranks;
}

std::vector<model::LayerSpare> LoraAdapters::spare() const {
  std::vector<model::LayerSpare> spare;
  for (std::int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
    const auto of = [&](std::size_t matrix) {
      return kernels::lora_spare(ranks_of(modules_in(layer, packed_targets().at(matrix))),
                                 compute_dtype_);
    };
    spare.push_back({of(0), of(1), of(2), of(3)});
  }
  return spare;
}

at::Tensor LoraAdapters::a_beside(const std::vector<std::size_t>& modules,
                                  const at::Tensor& extended) const {
  const MatrixShape one = target_shape(config_, modules_[modules.front()].target);
  const std::int64_t ranks = ranks_of(modules);
  const std::int64_t out = extended.size(0) - kernels::lora_spare(ranks, compute_dtype_);
  return extended.narrow(0, out, ranks).narrow(1, 0, one.in);
}

at::Tensor LoraAdapters::b_beside(std::size_t module, const at::Tensor& extended) const {
  const LoraTarget target = modules_[module].target;
  const MatrixShape shape = target_shape(config_, target);
  return extended.narrow(0, packed_row(config_, target), shape.out)
      .narrow(1, shape.in + places_[module].a_first_row, modules_[module].rank);
}

void LoraAdapters::place_in(const model::Weights& weights) {
  if (peft_.dropout != 0.0) {
    fail_config(
        "lora_gemm: extended multiplies by all adapters of a matrix at once, and lora_dropout: {} "
        "has a mask for each; set lora_dropout: 0, or lora_gemm: plain",
        peft_.dropout);
  }
  extended_.clear();
  for (const model::LayerWeights& layer : weights.layers) {
    extended_.push_back(
        {layer.qkv_extended, layer.o_extended, layer.gate_up_extended, layer.down_extended});
  }
  compute_.reset();
  copies_ = merged(copies_by_layer());
  refresh();
}

// The copies into each layer's buffers, in one order: of each stacked A, and of each B.
std::vector<std::vector<LoraAdapters::Copy>> LoraAdapters::copies_by_layer() const {
  std::vector<std::vector<Copy>> copies;
  for (std::size_t layer = 0; layer < extended_.size(); ++layer) {
    std::vector<Copy>& own = copies.emplace_back();
    for (std::size_t matrix = 0; matrix < kMatrices; ++matrix) {
      const auto members =
          modules_in(static_cast<std::int64_t>(layer), packed_targets().at(matrix));
      if (members.empty()) {
        continue;
      }
      const at::Tensor& extended = extended_[layer].at(matrix);
      own.push_back(
          {parameters_.value(places_[members.front()].a_entry), a_beside(members, extended)});
      for (const std::size_t i : members) {
        own.push_back(
            {parameters_.value(places_[i].b_entry), b_beside(i, extended), modules_[i].scale});
      }
    }
  }
  return copies;
}

// B is scaled in the masters' type and rounded once.
void LoraAdapters::refresh_extended() {
  for (Copy& copy : copies_) {
    kernels::log_traffic("adapters' copies", {copy.master}, {copy.place});
    at::mul_out(copy.place, copy.master, at::scalar_tensor(copy.scale, at::kDouble));
  }
}

}  // namespace weft::adapters
