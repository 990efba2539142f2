#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "model/checkpoint_layout.h"
#include "model/safetensors.h"

namespace weft::model {

/// Hugging Face's default for the bytes of tensors in one file.
inline constexpr std::uint64_t kDefaultShardBytes = 5'000'000'000;

/// Writes the weights of a model into a folder that is published later (PublishedFolder):
/// model.safetensors, or shards and their index when they do not fit in one. Holds no tensor in
/// memory. Every file is synced. Not thread-safe.
class CheckpointWriter {
 public:
  /// `tensors` in the model's order decide the shards. The folder must hold none of the files.
  CheckpointWriter(FileSystem& files, fs::path folder, const std::vector<TensorSpec>& tensors,
                   std::uint64_t max_shard_bytes = kDefaultShardBytes);

  /// The tensors in the order in which their bytes are to be appended.
  [[nodiscard]] const std::vector<TensorSpec>& order() const { return order_; }
  /// Bytes of the tensor that is due next, `name`, whole or in pieces; anything else is an internal
  /// Error.
  void append(std::string_view name, std::span<const std::byte> bytes);
  /// Closes the last file and writes the index; an internal Error when bytes are missing. No other
  /// call may follow.
  void finish();

 private:
  void open_next_shard();

  FileSystem& files_;
  fs::path folder_;
  ShardPlan plan_;
  std::vector<TensorSpec> order_;
  std::size_t opened_ = 0;  // shards opened so far
  std::unique_ptr<SafetensorsWriter> shard_;
};

}  // namespace weft::model
