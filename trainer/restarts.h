#pragma once

#include <cstdint>

#include "base/file_system.h"

namespace weft::trainer {

/// Counts in OUT/restarts.json how often a launcher has started the run again (`restart_count`
/// above 0) without a newer checkpoint than at the start before. A restart-limit Error when that is
/// more than `limit` times: what fails at once each time would go on failing. A first start, or a
/// new checkpoint, begins the count anew.
void count_restart(FileSystem& files, const fs::path& output_dir, int restart_count,
                   std::int64_t limit);

/// The run has ended as it should: nothing is left to count.
void forget_restarts(FileSystem& files, const fs::path& output_dir);

}  // namespace weft::trainer
