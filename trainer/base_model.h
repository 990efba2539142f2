#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "data/tokenizer.h"
#include "model/qwen3_config.h"
#include "model/weights.h"
#include "trainer/shared_base.h"

namespace weft::trainer {

/// How a base is held: its layers' matrices as 8-bit floats (kernels/fp8.h), or, where it is not
/// shared, with room for adapters beside each (model::allocate_weights).
struct BaseForm {
  bool fp8 = false;
  std::vector<model::LayerSpare> spare;
};

/// A model folder read into weights of the given type on the given device; on the meta device only
/// its configuration is read. Where the base is shared among ranks, `layers` lends the
/// matrices of the layers, which are undefined in `weights`.
struct BaseModel {
  model::Qwen3Config config;
  model::Weights weights;
  std::shared_ptr<model::LayerSource> layers;
};
[[nodiscard]] BaseModel load_base_model(FileSystem& files, const fs::path& folder,
                                        at::ScalarType dtype, c10::Device device,
                                        const BaseSharing& sharing = {}, const BaseForm& form = {});

/// The folder's tokenizer, or one that knows ids alone where it has none.
[[nodiscard]] std::unique_ptr<data::Tokenizer> load_model_tokenizer(FileSystem& files,
                                                                    const fs::path& folder);

/// Identifies a base without reading all of it: SHA-256 over config, the names, types and shapes of
/// all tensors and the first and last 4 KiB of each.
[[nodiscard]] std::string base_fingerprint(FileSystem& files, const fs::path& folder);

/// The folder that holds adapter_config.json: `path` itself, or its `final` folder (a run's output
/// folder). A data Error when there is neither.
[[nodiscard]] fs::path find_adapter_folder(FileSystem& files, const fs::path& path);

}  // namespace weft::trainer
