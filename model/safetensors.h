#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "model/safetensors_header.h"

namespace weft::model {

/// A safetensors file open for reading. Everything that the format promises is checked when it is
/// opened; reads are positional (never mapped, so a file that shrinks is an error and not a signal)
/// and may come from several threads.
class SafetensorsFile {
 public:
  /// A data Error names the file, the rule and the tensor. `follow_links` as for FileSystem::open.
  [[nodiscard]] static SafetensorsFile open(FileSystem& files, const fs::path& path,
                                            bool follow_links = true);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const TensorMap& tensors() const { return header_.tensors; }
  [[nodiscard]] const Metadata& metadata() const { return header_.metadata; }
  [[nodiscard]] bool contains(std::string_view name) const;
  /// A data Error with the nearest name when there is no such tensor.
  [[nodiscard]] const TensorInfo& info(std::string_view name) const;

  /// Reads a whole tensor; `out` has exactly its bytes.
  void read(const TensorInfo& tensor, std::span<std::byte> out) const;
  void read(std::string_view name, std::span<std::byte> out) const { read(info(name), out); }
  /// Reads out.size() bytes from `offset` bytes into the tensor.
  void read_range(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const;

 private:
  SafetensorsFile(std::string path, std::unique_ptr<ReadableFile> file, std::uint64_t buffer,
                  SafetensorsHeader header);

  std::string path_;
  std::unique_ptr<ReadableFile> file_;
  std::uint64_t buffer_;  // where the buffer begins in the file
  SafetensorsHeader header_;
};

/// Writes a safetensors file, byte for byte as Python's library would. The tensors are declared
/// first; their bytes are then appended in the order of tensors(), in pieces of any size. Not
/// thread-safe.
class SafetensorsWriter {
 public:
  /// Writes the header to `path`, which must not exist. `metadata` gains format = "pt" where it
  /// does not set it: older readers demand it.
  SafetensorsWriter(FileSystem& files, const fs::path& path, std::vector<TensorSpec> tensors,
                    Metadata metadata = {});

  /// The declared tensors in the order in which their bytes lie in the file (sort_for_safetensors).
  [[nodiscard]] const std::vector<TensorSpec>& tensors() const { return tensors_; }

  /// Appends bytes of the tensor that is due, which must be `name`; more bytes than it still lacks
  /// are an internal Error, as is another name.
  void append(std::string_view name, std::span<const std::byte> bytes);
  /// Whether all declared bytes have been appended.
  [[nodiscard]] bool complete() const { return next_ == tensors_.size(); }
  /// Syncs and closes; an internal Error when bytes are missing. No other call may follow.
  void finish();

 private:
  void skip_full_tensors();

  std::string path_;
  std::vector<TensorSpec> tensors_;
  std::unique_ptr<WritableFile> file_;
  std::size_t next_ = 0;         // the tensor that is due
  std::uint64_t remaining_ = 0;  // bytes it still lacks
};

/// Publishes a whole small file at once from memory: (spec, bytes) pairs in any order.
struct TensorBytes {
  TensorSpec spec;
  std::span<const std::byte> bytes;
};
void publish_safetensors(FileSystem& files, const fs::path& path,
                         std::span<const TensorBytes> tensors, const Metadata& metadata = {});

}  // namespace weft::model
