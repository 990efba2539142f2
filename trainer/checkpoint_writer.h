#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "model/safetensors.h"
#include "trainer/checkpoint_files.h"
#include "trainer/checkpoint_state.h"

namespace weft::trainer {

/// "checkpoint-000123".
[[nodiscard]] std::string checkpoint_name(std::int64_t step);

/// Writes OUT/checkpoint-000123/ so that it is there whole or not at all: files go into a temporary
/// folder, the manifest last, then one rename. Destroyed before commit(), or after any error, it
/// leaves what was there before. A failed save is never retried on the same object. Used from one
/// thread.
class CheckpointWriter {
 public:
  CheckpointWriter(FileSystem& files, fs::path output_dir, std::int64_t step);

  /// Where to write further files (flat names; write_synced, publish_file, SafetensorsWriter),
  /// through files(), which takes their checksums. Files that arrive there by another way are read
  /// again for theirs.
  [[nodiscard]] const fs::path& folder() const { return published_.path(); }
  [[nodiscard]] FileSystem& files() { return hashing_; }

  void add_text(std::string_view name, std::string_view text);
  /// One safetensors file. `bytes_of` is asked for one tensor after the other by its name; what it
  /// gives must live until the next call.
  using BytesOf = std::function<std::span<const std::byte>(const std::string& tensor)>;
  void add_tensors(std::string_view name, std::vector<model::TensorSpec> specs,
                   const BytesOf& bytes_of);
  /// Writes the state and the manifest and publishes the folder; its final path. A checkpoint of
  /// the same step that is already there is replaced, and stays readable until the new one is in
  /// place.
  fs::path commit(const TrainerState& state);

 private:
  [[nodiscard]] Manifest make_manifest();

  FileSystem& inner_;
  fs::path output_dir_;
  std::int64_t step_;
  HashingFileSystem hashing_;
  PublishedFolder published_;
};

}  // namespace weft::trainer
