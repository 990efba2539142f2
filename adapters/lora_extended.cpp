// Where the adapters' copies in the compute type lie in the extended form: beside the frozen
// matrices, so that a product reads both as one.

#include <ATen/ops/mul.h>
#include <ATen/ops/scalar_tensor.h>

#include "adapters/lora.h"
#include "base/error.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::adapters {

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
  refresh();
}

// B is scaled in the masters' type and rounded once.
void LoraAdapters::refresh_extended() {
  const auto put = [&](std::size_t entry, const at::Tensor& place, double scale) {
    const at::Tensor master = parameters_.value(entry);
    at::Tensor out = place;
    kernels::log_traffic("adapters' copies", {master}, {out});
    at::mul_out(out, master, at::scalar_tensor(scale, at::kDouble));
  };
  for (std::size_t layer = 0; layer < extended_.size(); ++layer) {
    for (std::size_t matrix = 0; matrix < kMatrices; ++matrix) {
      const auto members =
          modules_in(static_cast<std::int64_t>(layer), packed_targets().at(matrix));
      if (members.empty()) {
        continue;
      }
      const at::Tensor& extended = extended_[layer].at(matrix);
      put(places_[members.front()].a_entry, a_beside(members, extended), 1.0);
      for (const std::size_t i : members) {
        put(places_[i].b_entry, b_beside(i, extended), modules_[i].scale);
      }
    }
  }
}

}  // namespace weft::adapters
