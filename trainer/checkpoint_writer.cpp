#include "trainer/checkpoint_writer.h"

#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/sha256.h"

namespace weft::trainer {

std::string checkpoint_name(std::int64_t step) { return fmt::format("checkpoint-{:06}", step); }

CheckpointWriter::CheckpointWriter(FileSystem& files, fs::path output_dir, std::int64_t step)
    : inner_(files),
      output_dir_(std::move(output_dir)),
      step_(step),
      hashing_(files),
      published_(files, output_dir_ / checkpoint_name(step)) {}

void CheckpointWriter::add_text(std::string_view name, std::string_view text) {
  write_synced(hashing_, folder() / name, text);
}

void CheckpointWriter::add_tensors(std::string_view name, std::vector<model::TensorSpec> specs,
                                   const BytesOf& bytes_of) {
  model::SafetensorsWriter writer(hashing_, folder() / name, std::move(specs));
  for (const model::TensorSpec& spec : writer.tensors()) {
    writer.append(spec.name, bytes_of(spec.name));
  }
  writer.finish();
}

Manifest CheckpointWriter::make_manifest() {
  const std::map<fs::path, FileRecord> records = hashing_.records();
  Manifest manifest{.step = step_, .files = {}};
  for (const std::string& name : inner_.list(folder())) {
    const fs::path path = folder() / name;
    if (inner_.is_folder(path)) {
      fail_internal("{}: a checkpoint holds files only", path.string());
    }
    const auto found = records.find(path);
    manifest.files[name] = found != records.end() ? found->second
                                                  : FileRecord{.bytes = inner_.open(path)->size(),
                                                               .sha256 = sha256_file(inner_, path)};
  }
  return manifest;
}

fs::path CheckpointWriter::commit(const TrainerState& state) {
  if (state.step != step_) {
    fail_internal("checkpoint of step {} committed with the state of step {}", step_, state.step);
  }
  add_text(kTrainerStateName, trainer_state_text(state));
  write_synced(inner_, folder() / kManifestName, manifest_text(make_manifest()));
  const fs::path final_path = output_dir_ / checkpoint_name(step_);
  const fs::path replaced = final_path.string() + ".replaced";
  const bool replaces = inner_.exists(final_path);
  if (replaces) {
    inner_.remove_all(replaced);
    inner_.rename(final_path, replaced);
  }
  try {
    published_.commit();
  } catch (const Error&) {
    if (replaces && !inner_.exists(final_path)) {
      inner_.rename(replaced, final_path);
    }
    throw;
  }
  try {
    inner_.remove_all(replaced);
  } catch (const Error& error) {
    log_warning("the replaced checkpoint stays: {}", error.what());
  }
  return final_path;
}

}  // namespace weft::trainer
