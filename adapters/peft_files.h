#pragma once

#include "adapters/lora.h"
#include "base/file_system.h"

namespace weft::adapters {

/// Reads PEFT's adapter_config.json and adapter_model.safetensors. A data Error names the module:
/// not in the model, half of an A/B pair missing, wrong shape for this base, a value that is not
/// finite, tensors that are no LoRA matrices.
[[nodiscard]] LoraAdapters read_peft_adapter(FileSystem& files, const fs::path& folder,
                                             const model::Qwen3Config& config,
                                             at::ScalarType compute_dtype, c10::Device device);

/// Writes both files into `folder`, which exists (a PublishedFolder's, usually) and holds neither;
/// synced. Matrices are written as fp32, PEFT's own choice for a trained adapter.
void write_peft_adapter(FileSystem& files, const fs::path& folder, const LoraAdapters& adapters);
/// The same with the numbers of `values`, a buffer of the adapters' layout, on any device: they may
/// be trained on meanwhile.
void write_peft_adapter(FileSystem& files, const fs::path& folder, const LoraAdapters& adapters,
                        const at::Tensor& values);

}  // namespace weft::adapters
