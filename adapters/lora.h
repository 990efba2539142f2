#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "adapters/lora_target.h"
#include "adapters/peft_config.h"
#include "model/decoder_layer.h"
#include "model/flat_parameters.h"

namespace weft::adapters {

/// One adapted matrix.
struct LoraModule {
  std::int64_t layer = 0;
  LoraTarget target = LoraTarget::kQ;
  std::int64_t rank = 0;
  double scale = 1;

  [[nodiscard]] std::string name() const { return module_name(layer, target); }
};

/// An A or B matrix under the name it has in adapter_model.safetensors, as a view of the master
/// values.
struct NamedMatrix {
  std::string name;
  at::Tensor view;
};

/// The LoRA adapters of one model: all A and B in one flat fp32 master buffer, and views of it (or
/// of a copy in the compute type) arranged for the decoder layer.
class LoraAdapters {
 public:
  /// Adapters on the modules that `peft` names (target_modules, by name) in every layer,
  /// uninitialised (zero).
  LoraAdapters(const model::Qwen3Config& config, const PeftConfig& peft,
               at::ScalarType compute_dtype, c10::Device device);
  /// Adapters on exactly these modules.
  LoraAdapters(const model::Qwen3Config& config, PeftConfig peft, std::vector<LoraModule> modules,
               at::ScalarType compute_dtype, c10::Device device);

  /// A uniform in ±1/sqrt(in) (PEFT's kaiming_uniform with a = sqrt 5), B zero: the adapted model
  /// starts as the base. Deterministic in the seed, whatever the device and number of threads.
  void initialise(std::uint64_t seed);

  [[nodiscard]] const PeftConfig& peft() const { return peft_; }
  [[nodiscard]] PeftConfig& peft() { return peft_; }
  [[nodiscard]] const std::vector<LoraModule>& modules() const { return modules_; }
  [[nodiscard]] model::FlatParameters& parameters() { return parameters_; }
  [[nodiscard]] const model::FlatParameters& parameters() const { return parameters_; }

  /// What the extended form (kernels::LoraGroup::extended) needs beside each layer's matrices, for
  /// model::allocate_weights.
  [[nodiscard]] std::vector<model::LayerSpare> spare() const;
  /// From now on the copies in the compute type are beside the matrices of `weights`, which were
  /// allocated so, and layers() has the extended form. A config Error with dropout.
  void place_in(const model::Weights& weights);

  /// What the model computes with: one entry per layer, views that stay valid as long as this
  /// object.
  [[nodiscard]] std::vector<model::LayerAdapters> layers() const;
  /// Brings the compute copies up to date with the masters; call after every change of the masters.
  void refresh();

  /// All matrices with PEFT's names; as views of `values`, another buffer of parameters()' layout,
  /// where it is given.
  [[nodiscard]] std::vector<NamedMatrix> matrices() const { return matrices(parameters_.values()); }
  [[nodiscard]] std::vector<NamedMatrix> matrices(const at::Tensor& values) const;

 private:
  /// Where a module's matrices lie.
  struct Place {
    std::size_t a_entry;  ///< the stacked A it is part of
    std::int64_t a_first_row;
    std::size_t b_entry;
  };

  void lay_out();
  void add_group(std::int64_t layer, const std::vector<LoraTarget>& targets);
  [[nodiscard]] at::Tensor matrix_a(const at::Tensor& values, std::size_t module) const;
  [[nodiscard]] at::Tensor matrix_b(const at::Tensor& values, std::size_t module) const;
  [[nodiscard]] kernels::LoraGroup group(std::int64_t layer, std::size_t matrix) const;
  /// How a master comes to its place in an extended buffer; all layers' at once where they are
  /// alike.
  struct Copy {
    at::Tensor master;
    at::Tensor place;
    double scale = 1;
  };
  [[nodiscard]] std::int64_t ranks_of(const std::vector<std::size_t>& modules) const;
  [[nodiscard]] std::vector<std::vector<Copy>> copies_by_layer() const;
  void refresh_extended();
  /// Where an extended buffer has the stacked A of its modules, and the scaled B of one.
  [[nodiscard]] at::Tensor a_beside(const std::vector<std::size_t>& modules,
                                    const at::Tensor& extended) const;
  [[nodiscard]] at::Tensor b_beside(std::size_t module, const at::Tensor& extended) const;
  [[nodiscard]] std::vector<std::size_t> modules_in(std::int64_t layer,
                                                    const std::vector<LoraTarget>& targets) const;

  model::Qwen3Config config_;
  PeftConfig peft_;
  std::vector<LoraModule> modules_;
  std::vector<Place> places_;
  model::FlatParameters parameters_;
  at::ScalarType compute_dtype_;
  at::Tensor compute_;  ///< copy of the masters in the compute type; the masters themselves when
                        ///< the types are equal; undefined in the extended form
  std::vector<std::array<at::Tensor, kMatrices>> extended_;  ///< by layer; empty in the plain form
  std::vector<Copy> copies_;                                 ///< into them
};

}  // namespace weft::adapters
