#pragma once

#include <cstdint>
#include <optional>

#include "base/file_system.h"

namespace weft::cli {

/// Writes the documents of a folder of shards, in order, as the pair OUT.bin and OUT.idx that
/// Megatron-LM reads. It has no place for masks: where tokens are no targets these go to a second
/// pair, OUT.mask.bin and OUT.mask.idx, and a warning says so. Config Errors where a file of the
/// pairs exists, and for preference pairs and judged answers.
void export_to_megatron(FileSystem& files, const fs::path& shards, const fs::path& out);

struct CerebrasExport {
  std::optional<std::int64_t> max_length;  ///< positions of a sample; not set: as the longest needs
  std::optional<std::int32_t> pad_id;      ///< not set: <|endoftext|> of Qwen3, or 0
  bool packed = false;                     ///< several documents a sample
};

/// Writes the documents of a folder of shards as the folder OUT of samples that Cerebras' Model Zoo
/// reads (data/cerebras.h), each as one sample, in order, or packed in random order. Config Errors
/// where OUT exists, for documents that do not fit, and for preference pairs and judged answers.
void export_to_cerebras(FileSystem& files, const fs::path& shards, const fs::path& out,
                        const CerebrasExport& options);

}  // namespace weft::cli
