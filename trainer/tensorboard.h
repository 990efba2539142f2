#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/file_system.h"

namespace weft::trainer {

/// CRC-32C (Castagnoli) of the bytes, rotated and offset as TensorFlow's record files want it.
[[nodiscard]] std::uint32_t masked_crc32c(std::span<const std::byte> bytes);

/// One record of an event file: length, its checksum, the payload, its checksum.
[[nodiscard]] std::string tfrecord(std::string_view payload);

/// Writes scalars for TensorBoard: one new file `events.out.tfevents.…` in a folder for each start
/// of a run. A data Error when the disk refuses. Used from one thread.
class TensorBoardWriter {
 public:
  /// Makes the folder and the file. A run that goes on after `resumed_step` finished steps (0: a
  /// new run) tells TensorBoard to forget what earlier files hold of later steps.
  TensorBoardWriter(FileSystem& files, const fs::path& folder, std::int64_t resumed_step,
                    double wall_time);

  /// `wall_time` in seconds since 1970.
  void add_scalar(std::string_view tag, std::int64_t step, float value, double wall_time);

 private:
  std::unique_ptr<WritableFile> file_;
};

/// Seconds since 1970.
[[nodiscard]] double wall_clock();

}  // namespace weft::trainer
