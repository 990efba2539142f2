#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "trainer/checkpoint.h"

namespace weft::trainer {

/// A state whose every field depends on `step`.
[[nodiscard]] TrainerState example_state(std::int64_t step);

/// Values of the tensor that save_example writes.
[[nodiscard]] std::vector<float> example_values(std::int64_t step);

/// Saves a small checkpoint with an adapter's files and the optimizer's; its folder. Checkpoints of
/// one step differ by `variant`.
fs::path save_example(FileSystem& files, const fs::path& output_dir, std::int64_t step,
                      int variant = 0);

/// The names of the files that save_example writes, with the manifest.
[[nodiscard]] const std::vector<std::string>& example_files();

/// Overwrites a file in place, as damage does.
void overwrite(const fs::path& path, const std::string& bytes);

}  // namespace weft::trainer
