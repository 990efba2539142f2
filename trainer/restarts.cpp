#include "trainer/restarts.h"

#include "base/error.h"
#include "base/json.h"
#include "trainer/checkpoint_find.h"

namespace weft::trainer {
namespace {

struct Counted {
  std::int64_t step = -1;
  std::int64_t starts = 0;
};

fs::path file_of(const fs::path& output_dir) { return output_dir / "restarts.json"; }

// What cannot be read counts as nothing: the file only spares useless work.
Counted read_counted(FileSystem& files, const fs::path& path) {
  try {
    const std::string name = path.string();
    const Json json = parse_json(read_file(files, path, 1 << 16), name);
    return {json_int(json, "step", name), json_int(json, "restarts", name)};
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

void count_restart(FileSystem& files, const fs::path& output_dir, int restart_count,
                   std::int64_t limit) {
  if (restart_count == 0) {
    forget_restarts(files, output_dir);
    return;
  }
  const auto checkpoints = list_checkpoints(files, output_dir);
  const std::int64_t step = checkpoints.empty() ? 0 : checkpoints.front().step;
  Counted counted = read_counted(files, file_of(output_dir));
  counted = {step, counted.step == step ? counted.starts + 1 : 1};
  if (counted.starts > limit) {
    fail(ErrorKind::kRestartLimit,
         "{} was started again {} times without a new checkpoint after step {} "
         "(max_restarts_without_progress: {}); see the first error in the log of an earlier start, "
         "then start it anew",
         output_dir.string(), counted.starts, step, limit);
  }
  Json json = Json::object();
  json["step"] = counted.step;
  json["restarts"] = counted.starts;
  publish_file(files, file_of(output_dir), dump_json(json) + "\n");
}

void forget_restarts(FileSystem& files, const fs::path& output_dir) {
  if (files.exists(file_of(output_dir))) {
    files.remove(file_of(output_dir));
  }
}

}  // namespace weft::trainer
