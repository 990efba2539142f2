#pragma once

#include <cstdint>
#include <optional>

#include "base/file_system.h"

namespace weft::trainer {

/// Removes old checkpoints until at most `limit` (at least 1) committed ones are left. The newest
/// committed one and the one of `best_step` are always kept; folders that are not committed are not
/// counted and not touched. A folder that cannot be removed is logged and passed over: nothing here
/// ends a run. Reads manifests and sizes, no contents.
void keep_checkpoints(FileSystem& files, const fs::path& output_dir, std::int64_t limit,
                      std::optional<std::int64_t> best_step);

}  // namespace weft::trainer
