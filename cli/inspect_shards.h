#pragma once

#include "base/file_system.h"
#include "cli/inspect_options.h"

namespace weft::cli {

/// Prints what a folder of shards, or one shard, holds: statistics, or the documents that are asked
/// for; writes options.html instead where that is set. Data Errors: shards that are damaged, a
/// tokenizer that did not make them, a document that is not there.
void inspect_shards(FileSystem& files, const InspectOptions& options);

}  // namespace weft::cli
