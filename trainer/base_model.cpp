#include "trainer/base_model.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/sha256.h"
#include "data/ids_tokenizer.h"
#include "model/checkpoint_reader.h"

namespace weft::trainer {

BaseModel load_base_model(FileSystem& files, const fs::path& folder, at::ScalarType dtype,
                          c10::Device device, const BaseSharing& sharing, const BaseForm& form) {
  BaseModel base;
  base.config = model::read_qwen3_config(files, folder);
  if (device.is_meta()) {
    base.weights = model::allocate_weights(base.config, dtype, device, form.fp8, form.spare);
    return base;
  }
  const auto reader = model::CheckpointReader::open(files, folder);
  const bool shared = sharing.count() > 1;
  base.weights = shared ? model::allocate_without_matrices(base.config, dtype, device)
                        : model::allocate_weights(base.config, dtype, device, form.fp8, form.spare);
  model::load_weights(reader, base.config, base.weights);
  if (shared) {
    base.layers =
        std::make_shared<SharedBase>(reader, base.config, base.weights, sharing, form.fp8);
  }
  return base;
}

std::unique_ptr<data::Tokenizer> load_model_tokenizer(FileSystem& files, const fs::path& folder) {
  if (data::tokenizer_files(files, folder).empty()) {
    return data::make_ids_tokenizer(model::read_qwen3_config(files, folder).vocab_size, folder);
  }
  return data::load_tokenizer(files, folder);
}

std::string base_fingerprint(FileSystem& files, const fs::path& folder) {
  constexpr std::uint64_t kEnd = 1024;  // elements
  const auto reader = model::CheckpointReader::open(files, folder);
  Sha256 hash;
  hash.update(read_file(files, folder / "config.json"));
  for (const std::string& name : reader.names()) {
    const model::TensorInfo& info = reader.info(name);
    hash.update(fmt::format("\n{} {} {}\n", name, model::dtype_name(info.dtype),
                            model::shape_text(info.shape)));
    if (!model::is_weight_dtype(info.dtype)) {
      continue;
    }
    const std::uint64_t elements = model::element_count(info.shape, name);
    const std::uint64_t count = std::min(elements, kEnd);
    std::vector<std::byte> bytes(count * model::dtype_bytes(info.dtype));
    reader.read_as(name, 0, info.dtype, bytes);
    hash.update(bytes);
    reader.read_as(name, elements - count, info.dtype, bytes);
    hash.update(bytes);
  }
  return hash.finish();
}

fs::path find_adapter_folder(FileSystem& files, const fs::path& path) {
  for (const fs::path& folder : {path, path / "final"}) {
    if (files.exists(folder / "adapter_config.json")) {
      return folder;
    }
  }
  fail_data("{} holds no adapter: neither it nor its folder 'final' has adapter_config.json",
            path.string());
}

}  // namespace weft::trainer
