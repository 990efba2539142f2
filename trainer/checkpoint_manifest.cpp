#include "trainer/checkpoint_manifest.h"

#include "base/json.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/text.h"
#include "trainer/checkpoint_state.h"

namespace weft::trainer {

namespace {

constexpr std::string_view kFormat = "weft.checkpoint";
constexpr std::string_view kDigestKey = "digest";

/// A name that stays inside the folder.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

std::string with_digest(Json json) {
  json[std::string(kDigestKey)] = sha256_hex(dump_json(json));
  return dump_json_pretty(json) + "\n";
}

FileRecord parse_record(const Json& json, const std::string& file, std::string_view name) {
  if (!is_plain_name(file)) {
    fail_data("{}: '{}' is not the name of a file in this folder", name, printable(file));
  }
  const std::int64_t bytes = json_int(json, "bytes", name);
  if (bytes < 0) {
    fail_data("{}: {} has {} bytes", name, file, bytes);
  }
  return {.bytes = static_cast<std::uint64_t>(bytes), .sha256 = json_string(json, "sha256", name)};
}

void verify_file(FileSystem& files, const fs::path& folder, const std::string& name,
                 const FileRecord& expected, bool contents) {
  const fs::path path = folder / name;
  if (!files.exists(path)) {
    fail_data("{}: {} is missing", folder.string(), name);
  }
  const std::uint64_t bytes = files.open(path, /*follow_links=*/false)->size();
  if (bytes != expected.bytes) {
    fail_data("{}: {} has {} bytes, the manifest says {}", folder.string(), name, bytes,
              expected.bytes);
  }
  if (!contents) {
    return;
  }
  if (const std::string sha256 = sha256_file(files, path); sha256 != expected.sha256) {
    fail_data("{}: {} is damaged: its SHA-256 is {}, the manifest says {}", folder.string(), name,
              sha256, expected.sha256);
  }
}

}  // namespace

std::string manifest_text(const Manifest& manifest) {
  Json json;
  json["format"] = kFormat;
  json["version"] = kCheckpointVersion;
  json["step"] = manifest.step;
  json["files"] = Json::object();
  for (const auto& [name, record] : manifest.files) {
    json["files"][name] = {{"bytes", record.bytes}, {"sha256", record.sha256}};
  }
  return with_digest(std::move(json));
}

Manifest parse_manifest(std::string_view text, std::string_view name) {
  const Json json = parse_json(text, name);
  if (json_string(json, "format", name) != kFormat) {
    fail_data("{}: format is '{}', expected '{}'", name,
              printable(json_string(json, "format", name)), kFormat);
  }
  Json body = json;
  body.erase(std::string(kDigestKey));
  if (with_digest(body) != text) {
    fail_data("{}: the manifest is damaged: its digest does not match its text", name);
  }
  if (const std::int64_t version = json_int(json, "version", name); version > kCheckpointVersion) {
    throw NewerFormatError(
        fmt::format("{}: the checkpoint has format version {}, this weft reads versions up to {}; "
                    "resume it with a newer weft",
                    name, version, kCheckpointVersion));
  }
  Manifest manifest;
  manifest.step = json_int(json, "step", name);
  const Json& listed = json_member(json, "files", name);
  if (!listed.is_object()) {
    fail_data("{}: files must be an object", name);
  }
  for (const auto& [file, record] : listed.items()) {
    manifest.files[file] = parse_record(record, file, name);
  }
  if (!manifest.files.contains(std::string(kTrainerStateName))) {
    fail_data("{}: {} is not listed", name, kTrainerStateName);
  }
  return manifest;
}

Manifest verify_checkpoint(FileSystem& files, const fs::path& folder, bool contents) {
  const fs::path path = folder / kManifestName;
  if (!files.exists(path)) {
    fail_data("{}: no {}: the save was not finished", folder.string(), kManifestName);
  }
  const Manifest manifest = parse_manifest(read_file(files, path), path.string());
  for (const auto& [name, record] : manifest.files) {
    verify_file(files, folder, name, record, contents);
  }
  for (const std::string& name : files.list(folder)) {
    if (contents && name != kManifestName && !manifest.files.contains(name)) {
      log_warning("{}: {} is not in the manifest and is ignored", folder.string(), printable(name));
    }
  }
  return manifest;
}

}  // namespace weft::trainer
