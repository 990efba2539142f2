#include "cli/export_shards.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/cerebras_writer.h"
#include "data/megatron.h"
#include "data/packing.h"
#include "data/shard_set.h"

namespace weft::cli {
namespace {

/// <|endoftext|> of Qwen3's vocabulary.
constexpr std::int32_t kEndOfText = 151'643;

/// Rows of more values are not read back.
constexpr std::int64_t kMostPositions = std::int64_t{1} << 19;

data::ShardSet open_documents(FileSystem& files, const fs::path& shards, std::string_view form) {
  data::ShardSet set(files, shards);
  if (set.has_pairs() || set.has_labels()) {
    fail_config("--shards {}: holds preferences, and {} files have no place for them",
                shards.string(), form);
  }
  return set;
}

void refuse_existing(FileSystem& files, const fs::path& out, const fs::path& path) {
  if (files.exists(path)) {
    fail_config("--out {}: {} exists; remove it or choose another name", out.string(),
                path.string());
  }
}

std::int64_t count_untrained(const data::ShardSet& set) {
  std::int64_t untrained = 0;
  for (const data::ShardReader& shard : set.shards()) {
    // The first token of a document never is a target.
    untrained += shard.counts().tokens - shard.counts().documents - shard.counts().trained_tokens;
  }
  return untrained;
}

/// Which documents make each sample, by their numbers.
data::EpochPlan plan_samples(const data::ShardSet& set, const data::CerebrasLayout& layout) {
  std::vector<std::int64_t> documents;
  std::vector<std::int32_t> lengths;
  for (std::int64_t document = 0; document < set.documents(); ++document) {
    if (set.length(document) > 1) {  // one token alone has no label
      documents.push_back(document);
      lengths.push_back(static_cast<std::int32_t>(set.length(document)));
    }
  }
  data::LoaderOptions options;
  options.max_length = layout.packed ? layout.length : layout.length + 1;
  options.packing = layout.packed;
  options.shuffle = layout.packed;
  data::EpochPlan plan = data::plan_epoch(lengths, options, 0);
  for (std::int64_t& index : plan.documents) {
    index = documents[static_cast<std::size_t>(index)];
  }
  return plan;
}

data::CerebrasLayout layout_of(const data::ShardSet& set, const CerebrasExport& options) {
  std::int64_t longest = 2;
  for (std::int64_t document = 0; document < set.documents(); ++document) {
    longest = std::max(longest, set.length(document));
  }
  data::CerebrasLayout layout;
  layout.packed = options.packed;
  layout.length = options.max_length.value_or(options.packed ? longest : longest - 1);
  const std::int64_t vocab_size = set.manifest().identity.vocab_size;
  layout.vocab_size = vocab_size;
  layout.pad_id = options.pad_id.value_or(vocab_size > kEndOfText ? kEndOfText : 0);
  if (layout.pad_id < 0 || layout.pad_id >= vocab_size) {
    fail_config("--pad-id {} is outside the vocabulary of {}", layout.pad_id, vocab_size);
  }
  if (layout.length > kMostPositions) {
    fail_config(
        "--shards: a document has {} tokens, and a sample has at most {} positions; tokenise "
        "with a smaller max_length",
        longest, kMostPositions);
  }
  const std::int64_t room = layout.length + (layout.packed ? 0 : 1);
  if (longest > room) {
    fail_config(
        "--max-length {}: a document has {} tokens, and a sample has room for {}; raise it, or "
        "tokenise with max_length: {}",
        layout.length, longest, room, room);
  }
  return layout;
}

}  // namespace

void export_to_megatron(FileSystem& files, const fs::path& shards, const fs::path& out) {
  const bool is_full_name = out.extension() == ".bin" || out.extension() == ".idx";
  const data::MegatronPaths paths =
      data::megatron_paths(is_full_name ? out : fs::path(out.string() + ".bin"));
  const data::MegatronPaths mask_paths = data::megatron_mask_paths(paths.bin);
  for (const fs::path& path : {paths.bin, paths.idx, mask_paths.bin, mask_paths.idx}) {
    refuse_existing(files, out, path);
  }
  const data::ShardSet set = open_documents(files, shards, "Megatron's");
  const std::int64_t untrained = count_untrained(set);
  if (out.has_parent_path()) {
    files.make_folders(out.parent_path());
  }
  data::MegatronWriter writer(files, paths.bin, set.manifest().identity.vocab_size);
  std::optional<data::MegatronWriter> masks;
  if (untrained > 0) {
    masks.emplace(files, mask_paths.bin, 2);
  }
  ProgressLine progress("exporting", static_cast<std::uint64_t>(set.documents()), "documents");
  for (std::int64_t number = 0; number < set.documents(); ++number) {
    const data::Document document = set.document(number);
    writer.add(document.ids);
    if (masks) {
      masks->add({document.mask.begin(), document.mask.end()});
    }
    progress.update(static_cast<std::uint64_t>(number + 1), "");
  }
  if (masks) {
    masks->finish();
  }
  writer.finish();
  if (masks) {
    log_warning(
        "{} tokens are no targets in the shards. Megatron's files have no masks, so Megatron "
        "trains "
        "on them; weft finds the masks in {}",
        untrained, mask_paths.idx.string());
  }
  log_info("wrote {} and {}: {} documents", paths.bin.string(), paths.idx.string(),
           set.documents());
}

void export_to_cerebras(FileSystem& files, const fs::path& shards, const fs::path& out,
                        const CerebrasExport& options) {
  refuse_existing(files, out, out);
  const data::ShardSet set = open_documents(files, shards, "Cerebras'");
  const data::CerebrasLayout layout = layout_of(set, options);
  const data::EpochPlan plan = plan_samples(set, layout);
  if (out.has_parent_path()) {
    files.make_folders(out.parent_path());
  }
  PublishedFolder folder(files, out);
  data::CerebrasWriter writer(files, folder.path(), layout);
  ProgressLine progress("exporting", static_cast<std::uint64_t>(plan.batches()), "samples");
  std::vector<data::Document> documents;
  for (std::int64_t sample = 0; sample < plan.batches(); ++sample) {
    documents.clear();
    for (const std::int64_t document : plan.batch(sample)) {
      documents.push_back(set.document(document));
    }
    writer.add(documents);
    progress.update(static_cast<std::uint64_t>(sample + 1), "");
  }
  writer.finish();
  folder.commit();
  log_info("wrote {}: {} documents in {} samples of {} positions", out.string(),
           plan.documents.size(), writer.samples(), layout.length);
}

}  // namespace weft::cli
