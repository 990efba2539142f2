#include "adapters/lora.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::adapters {
namespace {

std::vector<LoraModule> modules_of(const model::Qwen3Config& config, const PeftConfig& peft) {
  std::vector<LoraModule> modules;
  const std::vector<LoraTarget> targets = parse_targets(peft.target_modules);
  for (std::int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    for (const LoraTarget target : targets) {
      const std::string name = module_name(layer, target);
      modules.push_back({layer, target, peft.rank_of(name), peft.scale_of(name)});
    }
  }
  return modules;
}

}  // namespace

LoraAdapters::LoraAdapters(const model::Qwen3Config& config, const PeftConfig& peft,
                           at::ScalarType compute_dtype, c10::Device device)
    : LoraAdapters(config, peft, modules_of(config, peft), compute_dtype, device) {}

LoraAdapters::LoraAdapters(const model::Qwen3Config& config, PeftConfig peft,
                           std::vector<LoraModule> modules, at::ScalarType compute_dtype,
                           c10::Device device)
    : config_(config),
      peft_(std::move(peft)),
      modules_(std::move(modules)),
      compute_dtype_(compute_dtype) {
  lay_out();
  const at::ScalarType master = kernels::statistics_dtype(compute_dtype);
  parameters_.allocate(master, device);
  compute_ = master == compute_dtype ? parameters_.values()
                                     : at::zeros({parameters_.values().numel()},
                                                 at::TensorOptions(compute_dtype).device(device));
}

std::vector<std::size_t> LoraAdapters::modules_in(std::int64_t layer,
                                                  const std::vector<LoraTarget>& targets) const {
  std::vector<std::size_t> found;
  for (const LoraTarget target : targets) {
    for (std::size_t i = 0; i < modules_.size(); ++i) {
      if (modules_[i].layer == layer && modules_[i].target == target) {
        found.push_back(i);
      }
    }
  }
  return found;
}

void LoraAdapters::add_group(std::int64_t layer, const std::vector<LoraTarget>& targets) {
  const std::vector<std::size_t> members = modules_in(layer, targets);
  if (members.empty()) {
    return;
  }
  std::int64_t ranks = 0;
  for (const std::size_t i : members) {
    places_[i].a_first_row = ranks;
    ranks += modules_[i].rank;
  }
  const std::string first = modules_[members.front()].name();
  const std::size_t a =
      parameters_.add(first + ".lora_A", {ranks, target_shape(config_, targets.front()).in}, true);
  for (const std::size_t i : members) {
    places_[i].a_entry = a;
    places_[i].b_entry =
        parameters_.add(modules_[i].name() + ".lora_B",
                        {target_shape(config_, modules_[i].target).out, modules_[i].rank}, true);
  }
}

void LoraAdapters::lay_out() {
  places_.resize(modules_.size());
  for (std::int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
    for (const auto& targets : packed_targets()) {
      add_group(layer, targets);
    }
  }
}

at::Tensor LoraAdapters::matrix_a(const at::Tensor& values, std::size_t module) const {
  const Place& place = places_[module];
  return parameters_.view(values, place.a_entry)
      .narrow(0, place.a_first_row, modules_[module].rank);
}

at::Tensor LoraAdapters::matrix_b(const at::Tensor& values, std::size_t module) const {
  return parameters_.view(values, places_[module].b_entry);
}

void LoraAdapters::initialise(std::uint64_t seed) {
  for (std::size_t i = 0; i < modules_.size(); ++i) {
    const at::Tensor a = matrix_a(parameters_.values(), i);
    const double bound = 1.0 / std::sqrt(static_cast<double>(a.size(1)));
    const at::Tensor host = at::empty(a.sizes(), at::TensorOptions(at::kDouble));
    auto* values = host.mutable_data_ptr<double>();
    // A stream per module: adding a target does not change the others' start.
    Random random(seed, static_cast<std::uint64_t>(modules_[i].layer) * 16 +
                            static_cast<std::uint64_t>(modules_[i].target));
    for (std::int64_t j = 0; j < host.numel(); ++j) {
      values[j] = (2 * random.uniform() - 1) * bound;
    }
    a.copy_(host);
    matrix_b(parameters_.values(), i).zero_();
  }
  refresh();
}

void LoraAdapters::refresh() {
  if (!extended_.empty()) {
    refresh_extended();
  } else if (!compute_.is_same(parameters_.values())) {
    kernels::log_traffic("adapters' copies", {parameters_.values()}, {compute_});
    compute_.copy_(parameters_.values());
  }
}

kernels::LoraGroup LoraAdapters::group(std::int64_t layer, std::size_t matrix) const {
  const auto members = modules_in(layer, packed_targets().at(matrix));
  kernels::LoraGroup group;
  for (const std::size_t i : members) {
    const Place& place = places_[i];
    group.grad_a = parameters_.gradient(place.a_entry);
    group.slices.push_back({packed_row(config_, modules_[i].target), at::Tensor(),
                            parameters_.gradient(place.b_entry), modules_[i].scale});
    if (extended_.empty()) {
      group.a = parameters_.view(compute_, place.a_entry);
      group.slices.back().b = parameters_.view(compute_, place.b_entry);
    }
  }
  group.dropout = peft_.dropout;
  if (!extended_.empty() && !members.empty()) {
    group.extended = extended_[static_cast<std::size_t>(layer)].at(matrix);
    group.a = a_beside(members, group.extended);
    for (std::size_t k = 0; k < members.size(); ++k) {
      group.slices[k].b = b_beside(members[k], group.extended);
    }
  }
  return group;
}

std::vector<model::LayerAdapters> LoraAdapters::layers() const {
  std::vector<model::LayerAdapters> layers;
  for (std::int64_t layer = 0; layer < config_.num_hidden_layers; ++layer) {
    layers.push_back({group(layer, 0), group(layer, 1), group(layer, 2), group(layer, 3)});
  }
  return layers;
}

std::vector<NamedMatrix> LoraAdapters::matrices(const at::Tensor& values) const {
  std::vector<NamedMatrix> matrices;
  for (std::size_t i = 0; i < modules_.size(); ++i) {
    const std::string prefix = "base_model.model." + modules_[i].name();
    matrices.push_back({prefix + ".lora_A.weight", matrix_a(values, i)});
    matrices.push_back({prefix + ".lora_B.weight", matrix_b(values, i)});
  }
  return matrices;
}

}  // namespace weft::adapters
