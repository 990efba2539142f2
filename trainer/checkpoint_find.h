#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "trainer/checkpoint_state.h"

namespace weft::trainer {

struct CheckpointFolder {
  std::int64_t step = 0;
  fs::path path;
};

/// The folders in `output_dir` that are named as checkpoints, newest first, whatever is in them.
/// Empty where there is no such folder.
[[nodiscard]] std::vector<CheckpointFolder> list_checkpoints(FileSystem& files,
                                                             const fs::path& output_dir);

/// A checkpoint whose every file has been verified.
struct ResumePoint {
  fs::path folder;
  TrainerState state;
};

/// Verifies one checkpoint and reads its state; a data Error says what is wrong with it.
[[nodiscard]] ResumePoint read_checkpoint(FileSystem& files, const fs::path& folder);

/// Where a run begins; not set: from the start.
///
/// `resume` "auto": the newest checkpoint in `output_dir` that verifies, with a warning for each
/// newer one that does not; a data Error that lists all reasons when there are some but none
/// verifies (never a silent restart). "none": from the start; a config Error when `output_dir`
/// already holds checkpoints, which a later "auto" would take for this run's. A path: that
/// checkpoint or an Error. A checkpoint of a newer format is refused, never passed over.
[[nodiscard]] std::optional<ResumePoint> find_resume_point(FileSystem& files,
                                                           const fs::path& output_dir,
                                                           std::string_view resume);

/// For a run that goes on from an older checkpoint by choice, once it is sure to go on: renames
/// newer checkpoints of `output_dir` to `NAME.superseded` with a warning each, so that a later
/// "auto" does not take up the branch that was left. Does nothing when `resume` is "auto": what is
/// newer then is damaged, and replaced when the run gets there.
void set_newer_aside(FileSystem& files, const fs::path& output_dir, std::string_view resume,
                     const ResumePoint& point);

}  // namespace weft::trainer
