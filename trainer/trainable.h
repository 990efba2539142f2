#pragma once

#include <memory>

#include "adapters/peft_config.h"
#include "base/file_system.h"
#include "model/flat_parameters.h"
#include "model/qwen3_model.h"
#include "trainer/run_config.h"
#include "trainer/shared_base.h"

namespace weft::trainer {

/// What a run trains: the adapters of a frozen base, or all weights. Owns the model.
class Trainable {
 public:
  virtual ~Trainable() = default;
  [[nodiscard]] virtual model::Qwen3Model& model() = 0;
  /// Master values and gradients.
  [[nodiscard]] virtual model::FlatParameters& parameters() = 0;
  /// Brings the model's own copies up to date after the masters changed.
  virtual void refresh() = 0;
  /// Numbers of adapters that each token passes; 0 for full fine-tuning.
  [[nodiscard]] virtual std::int64_t adapter_parameters() const = 0;
  [[nodiscard]] virtual bool trains_weights() const = 0;
  /// Writes what was trained into `folder` in the form other tools read: PEFT's two files, or a
  /// whole Hugging Face checkpoint. Files are synced; the folder holds none of them yet. The
  /// numbers are those of `values`: parameters()' own, or a copy of them, with which it may be
  /// called while training goes on.
  virtual void save(FileSystem& files, const fs::path& folder, const at::Tensor& values) = 0;
};

/// The adapter that the config asks for, as PEFT says it.
[[nodiscard]] adapters::PeftConfig peft_config(const RunConfig& config);

/// Loads the base and builds what the config asks for: new adapters, given ones to go on with, or
/// all weights. On the meta device only config.json (and a given adapter) is read, and nothing has
/// values: for planning. `sharing`: among which ranks the base of an adapter is spread.
[[nodiscard]] std::unique_ptr<Trainable> make_trainable(FileSystem& files, const RunConfig& config,
                                                        at::ScalarType dtype, c10::Device device,
                                                        const BaseSharing& sharing = {});

}  // namespace weft::trainer
