#include "trainer/checkpoint_retention.h"

#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "trainer/checkpoint_find.h"
#include "trainer/checkpoint_manifest.h"

namespace weft::trainer {

namespace {

bool is_committed(FileSystem& files, const fs::path& folder) {
  try {
    verify_checkpoint(files, folder, /*contents=*/false);
    return true;
  } catch (const NewerFormatError&) {
    return true;
  } catch (const Error&) {
    return false;
  }
}

void try_remove(FileSystem& files, const fs::path& folder) {
  try {
    // Without its name first: a half-removed folder must not look like a damaged checkpoint.
    const fs::path doomed =
        folder.extension() == ".removed" ? folder : fs::path(folder.string() + ".removed");
    if (doomed != folder) {
      files.remove_all(doomed);
      files.rename(folder, doomed);
    }
    files.remove_all(doomed);
  } catch (const Error& error) {
    log_warning("an old checkpoint stays: {}", error.what());
  }
}

/// What an earlier removal that was killed or refused has left.
void finish_removals(FileSystem& files, const fs::path& output_dir) {
  for (const std::string& name : files.list(output_dir)) {
    if (name.starts_with("checkpoint-") && name.ends_with(".removed")) {
      try_remove(files, output_dir / name);
    }
  }
}

void remove_surplus(FileSystem& files, const fs::path& output_dir, std::int64_t limit,
                    std::optional<std::int64_t> best_step) {
  finish_removals(files, output_dir);
  std::vector<CheckpointFolder> committed;
  bool best_is_there = false;
  for (const CheckpointFolder& each : list_checkpoints(files, output_dir)) {
    if (is_committed(files, each.path)) {
      committed.push_back(each);
      best_is_there = best_is_there || each.step == best_step;
    }
  }
  // The best one takes one of the places, unless that leaves none for the newest.
  std::int64_t places = limit - (best_is_there ? 1 : 0);
  for (std::size_t i = 0; i < committed.size(); ++i) {
    if (committed[i].step == best_step) {
      continue;
    }
    if (places > 0 || i == 0) {
      --places;
      continue;
    }
    try_remove(files, committed[i].path);
  }
}

}  // namespace

void keep_checkpoints(FileSystem& files, const fs::path& output_dir, std::int64_t limit,
                      std::optional<std::int64_t> best_step) {
  try {
    remove_surplus(files, output_dir, limit, best_step);
  } catch (const Error& error) {
    log_warning("old checkpoints were not looked through: {}", error.what());
  }
}

}  // namespace weft::trainer
