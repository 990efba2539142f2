#pragma once

#include "base/file_system.h"

namespace weft::cli {

/// Writes the documents of a folder of shards, in order, as the pair OUT.bin and OUT.idx that
/// Megatron-LM reads. It has no place for masks: a warning says how many tokens are no targets.
/// Config Errors where a file of the pair exists, and for preference pairs and judged answers.
void export_to_megatron(FileSystem& files, const fs::path& shards, const fs::path& out);

}  // namespace weft::cli
