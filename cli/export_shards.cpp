#include "cli/export_shards.h"

#include <cstdint>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/megatron.h"
#include "data/shard_set.h"

namespace weft::cli {

void export_to_megatron(FileSystem& files, const fs::path& shards, const fs::path& out) {
  const bool is_full_name = out.extension() == ".bin" || out.extension() == ".idx";
  const data::MegatronPaths paths =
      data::megatron_paths(is_full_name ? out : fs::path(out.string() + ".bin"));
  for (const fs::path& path : {paths.bin, paths.idx}) {
    if (files.exists(path)) {
      fail_config("--out {}: {} exists; remove it or choose another name", out.string(),
                  path.string());
    }
  }
  const data::ShardSet set(files, shards);
  if (set.has_pairs() || set.has_labels()) {
    fail_config("--shards {}: holds preferences, and Megatron's files have no place for them",
                shards.string());
  }
  if (out.has_parent_path()) {
    files.make_folders(out.parent_path());
  }
  data::MegatronWriter writer(files, paths.bin, set.manifest().identity.vocab_size);
  ProgressLine progress("exporting", static_cast<std::uint64_t>(set.documents()), "documents");
  std::int64_t untrained = 0;
  for (std::int64_t document = 0; document < set.documents(); ++document) {
    std::vector<std::int32_t> ids;
    std::vector<std::uint8_t> mask;
    set.read(document, std::numeric_limits<std::int64_t>::max(), ids, mask);
    for (std::size_t i = 1; i < mask.size(); ++i) {
      untrained += mask[i] == 0 ? 1 : 0;
    }
    writer.add(ids);
    progress.update(static_cast<std::uint64_t>(document + 1), "");
  }
  writer.finish();
  if (untrained > 0) {
    log_warning(
        "{} tokens are no targets in the shards; Megatron's files have no masks, so whoever reads "
        "{} trains on them",
        untrained, paths.bin.string());
  }
  log_info("wrote {} and {}: {} documents", paths.bin.string(), paths.idx.string(),
           set.documents());
}

}  // namespace weft::cli
