#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "model/safetensors.h"

namespace weft::model {

/// The weights of a model folder: model.safetensors, or the shards that
/// model.safetensors.index.json lists. All headers are read and checked when it is opened; tensors
/// are read on demand, from several threads if need be. Tensors that nobody asks for (a tied
/// model's spare lm_head) do no harm.
class CheckpointReader {
 public:
  /// A data Error for a folder without weights (naming what is there instead), a shard that is
  /// missing, damaged, outside the folder or behind a link (locate_weight_file), or an index that
  /// disagrees with its shards (up to ten names).
  [[nodiscard]] static CheckpointReader open(FileSystem& files, const fs::path& model_folder);

  /// All tensor names, sorted.
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] bool contains(std::string_view name) const;
  /// Bytes of all tensors.
  [[nodiscard]] std::uint64_t total_bytes() const;

  /// A data Error with the nearest name when there is no such tensor.
  [[nodiscard]] const TensorInfo& info(std::string_view name) const;
  /// As info, and a data Error unless the shape is `shape` and the type one that weights may have
  /// (is_weight_dtype).
  const TensorInfo& expect(std::string_view name, std::span<const std::int64_t> shape) const;

  /// Reads a tensor's bytes as stored; `out` has exactly its size.
  void read(std::string_view name, std::span<std::byte> out) const;
  /// Reads elements from `first` on, converted to `dtype` (both weight types), as many as fill
  /// `out`.
  void read_as(std::string_view name, std::uint64_t first, DType dtype,
               std::span<std::byte> out) const;

 private:
  struct Place {
    const SafetensorsFile* file;
    const TensorInfo* info;
  };

  explicit CheckpointReader(std::string folder) : folder_(std::move(folder)) {}
  void add_files(std::vector<SafetensorsFile> files);
  [[nodiscard]] const Place& place(std::string_view name) const;

  std::string folder_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string_view, Place> places_;  // views and pointers into files_, which never changes
};

}  // namespace weft::model
