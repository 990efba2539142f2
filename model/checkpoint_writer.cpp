#include "model/checkpoint_writer.h"

#include <utility>

#include "base/error.h"
#include "model/checkpoint_index.h"

namespace weft::model {

CheckpointWriter::CheckpointWriter(FileSystem& files, fs::path folder,
                                   const std::vector<TensorSpec>& tensors,
                                   std::uint64_t max_shard_bytes)
    : files_(files), folder_(std::move(folder)), plan_(plan_shards(tensors, max_shard_bytes)) {
  for (std::vector<TensorSpec>& shard : plan_.shards) {
    sort_for_safetensors(shard);
    order_.insert(order_.end(), shard.begin(), shard.end());
  }
  // Builds the one header of the whole set to check names, sizes and duplicates before any file
  // exists.
  static_cast<void>(make_safetensors_header(order_, {}));
  open_next_shard();
}

void CheckpointWriter::open_next_shard() {
  if (shard_) shard_->finish();
  shard_ = std::make_unique<SafetensorsWriter>(
      files_, folder_ / shard_name(opened_, plan_.shards.size()), plan_.shards[opened_]);
  ++opened_;
}

void CheckpointWriter::append(std::string_view name, std::span<const std::byte> bytes) {
  while (shard_->complete() && opened_ < plan_.shards.size()) open_next_shard();
  shard_->append(name, bytes);
}

void CheckpointWriter::finish() {
  while (shard_->complete() && opened_ < plan_.shards.size()) open_next_shard();
  if (opened_ != plan_.shards.size()) {
    fail_internal("{}: {} of {} shards were written", folder_.string(), opened_,
                  plan_.shards.size());
  }
  shard_->finish();
  if (plan_.shards.size() > 1) write_synced(files_, folder_ / kIndexName, index_text(plan_));
}

}  // namespace weft::model
