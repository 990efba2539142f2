#include "trainer/checkpoint_find.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "trainer/checkpoint_manifest.h"

namespace weft::trainer {

namespace {

constexpr std::string_view kPrefix = "checkpoint-";
// What a save that was killed while it replaced a checkpoint leaves; as good as the checkpoint.
constexpr std::string_view kReplaced = ".replaced";

std::optional<std::int64_t> step_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) {
    return std::nullopt;
  }
  name.remove_prefix(kPrefix.size());
  if (name.ends_with(kReplaced)) {
    name.remove_suffix(kReplaced.size());
  }
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size() || step < 0) {
    return std::nullopt;
  }
  return step;
}

std::optional<ResumePoint> newest_valid(FileSystem& files, const fs::path& output_dir) {
  std::vector<std::string> reasons;
  for (const CheckpointFolder& each : list_checkpoints(files, output_dir)) {
    try {
      return read_checkpoint(files, each.path);
    } catch (const NewerFormatError&) {
      throw;
    } catch (const Error& error) {
      log_warning("checkpoint passed over: {}", error.what());
      reasons.emplace_back(error.what());
    }
  }
  if (!reasons.empty()) {
    fail_data(
        "output_dir {} holds checkpoints but none can be used: {}; restore one, or remove them to "
        "start again",
        output_dir.string(), join(reasons, "; "));
  }
  return std::nullopt;
}

}  // namespace

std::vector<CheckpointFolder> list_checkpoints(FileSystem& files, const fs::path& output_dir) {
  std::vector<CheckpointFolder> found;
  if (!files.exists(output_dir)) {
    return found;
  }
  for (const std::string& name : files.list(output_dir)) {
    if (const auto step = step_of(name); step && files.is_folder(output_dir / name)) {
      found.push_back({.step = *step, .path = output_dir / name});
    }
  }
  // Names come sorted, so a checkpoint stands before the one that it replaced.
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.step > b.step; });
  return found;
}

ResumePoint read_checkpoint(FileSystem& files, const fs::path& folder) {
  const Manifest manifest = verify_checkpoint(files, folder, /*contents=*/true);
  const fs::path path = folder / kTrainerStateName;
  ResumePoint point{.folder = folder,
                    .state = parse_trainer_state(read_file(files, path), path.string())};
  if (point.state.step != manifest.step) {
    fail_data("{}: the manifest is of step {}, {} of step {}", folder.string(), manifest.step,
              kTrainerStateName, point.state.step);
  }
  return point;
}

std::optional<ResumePoint> find_resume_point(FileSystem& files, const fs::path& output_dir,
                                             std::string_view resume) {
  if (resume == "auto") {
    return newest_valid(files, output_dir);
  }
  if (resume == "none") {
    if (const auto found = list_checkpoints(files, output_dir); !found.empty()) {
      fail_config(
          "resume_from_checkpoint is none, but output_dir {} already holds {}; choose another "
          "output_dir, or "
          "remove its checkpoints",
          output_dir.string(), found.front().path.filename().string());
    }
    return std::nullopt;
  }
  const fs::path folder(resume);
  if (!files.is_folder(folder)) {
    fail_data("resume_from_checkpoint: {} is not a folder", printable(resume));
  }
  return read_checkpoint(files, folder);
}

void set_newer_aside(FileSystem& files, const fs::path& output_dir, std::string_view resume,
                     const ResumePoint& point) {
  if (resume == "auto") {
    return;
  }
  for (const CheckpointFolder& each : list_checkpoints(files, output_dir)) {
    if (each.step <= point.state.step || each.path == point.folder) {
      continue;
    }
    const fs::path aside = each.path.string() + ".superseded";
    log_warning("{} is newer than {}, which the run goes on from; it is renamed to {}",
                each.path.string(), point.folder.string(), aside.filename().string());
    files.remove_all(aside);
    files.rename(each.path, aside);
  }
}

}  // namespace weft::trainer
