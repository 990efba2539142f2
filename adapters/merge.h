#pragma once

#include <cstdint>

#include "base/file_system.h"
#include "model/checkpoint_writer.h"

namespace weft::adapters {

struct MergeOptions {
  std::uint64_t max_shard_bytes = model::kDefaultShardBytes;
};

struct MergeResult {
  std::int64_t merged_matrices = 0;
  std::int64_t tensors = 0;
  std::uint64_t bytes = 0;
};

/// Writes `out`, a plain Hugging Face checkpoint of base + adapter: W + scale·B·A in fp32, rounded
/// once to the type that the base stores. Everything else is the base's own bytes: other tensors,
/// config.json, tokenizer files. The folder appears whole or not at all; neither input is written
/// to. Memory: one matrix, and its fp32 sum a few rows at a time.
MergeResult merge_adapter(FileSystem& files, const fs::path& base, const fs::path& adapter,
                          const fs::path& out, const MergeOptions& options = {});

}  // namespace weft::adapters
