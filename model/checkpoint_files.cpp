#include "model/checkpoint_files.h"

#include <algorithm>
#include <cstddef>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "data/tokenizer.h"

namespace weft::model {
namespace {

constexpr std::string_view kGenerationConfig = "generation_config.json";

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\\') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

/// The blob that a link in a snapshot folder of the Hugging Face cache stands for, or an empty
/// path.
fs::path hub_blob(const fs::path& folder, const fs::path& target) {
  const fs::path blobs = fs::path("..") / ".." / "blobs";
  if (target.parent_path() != blobs || !is_plain_name(target.filename().string())) return {};
  // The kernel resolves ".." from where the folder really is; so does this.
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  if (error) return {};
  return real.parent_path().parent_path() / "blobs" / target.filename();
}

std::string_view kind_of(fs::file_type type) {
  switch (type) {
    case fs::file_type::directory:
      return "a folder";
    case fs::file_type::symlink:
      return "a symbolic link";
    case fs::file_type::block:
    case fs::file_type::character:
      return "a device";
    case fs::file_type::fifo:
      return "a pipe";
    case fs::file_type::socket:
      return "a socket";
    default:
      return "not a regular file";
  }
}

void check_regular(const fs::path& path, fs::file_type type) {
  if (type == fs::file_type::not_found) {
    fail_data("{}: the file is missing; download or copy it again", path.string());
  }
  if (type != fs::file_type::regular) {
    fail_data("{}: is {}; weights must be in regular files", path.string(), kind_of(type));
  }
}

fs::file_type type_of(const fs::path& path) {
  std::error_code error;
  const fs::file_type type = fs::symlink_status(path, error).type();
  if (type == fs::file_type::none) fail_data("{}: cannot look: {}", path.string(), error.message());
  return type;
}

void copy_file(FileSystem& files, const fs::path& from, const fs::path& to) {
  const auto in = files.open(from);
  const auto out = files.create(to);
  std::vector<std::byte> piece(std::size_t{1} << 20);
  for (std::uint64_t offset = 0; offset < in->size();) {
    const auto bytes = std::span(piece).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), in->size() - offset)));
    in->read_at(offset, bytes);
    out->append(bytes);
    offset += bytes.size();
  }
  out->sync();
  out->close();
}

}  // namespace

fs::path locate_weight_file(const fs::path& folder, std::string_view name) {
  if (!is_plain_name(name) || !name.ends_with(".safetensors")) {
    fail_data(
        "{}: '{}' is not allowed as the name of a weight file: it must be a plain name that "
        "ends in .safetensors, inside the folder",
        folder.string(), printable(name));
  }
  const fs::path path = folder / name;
  const fs::file_type type = type_of(path);
  if (type != fs::file_type::symlink) {
    check_regular(path, type);
    return path;
  }
  std::error_code error;
  const fs::path target = fs::read_symlink(path, error);
  if (error) fail_data("{}: cannot read the link: {}", path.string(), error.message());
  const fs::path blob = hub_blob(folder, target);
  if (blob.empty()) {
    fail_data(
        "{}: is a symbolic link to '{}'; only links of the Hugging Face cache (../../blobs/…) are "
        "followed: copy the file into the folder",
        path.string(), printable(target.string()));
  }
  check_regular(blob, type_of(blob));
  return blob;
}

void copy_side_files(FileSystem& files, const fs::path& from, const fs::path& to) {
  for (const std::string& name : data::tokenizer_files(files, from)) {
    copy_file(files, from / name, to / name);
  }
  if (files.exists(from / kGenerationConfig)) {
    copy_file(files, from / kGenerationConfig, to / kGenerationConfig);
  }
}

void copy_tokenizer_files(FileSystem& files, const fs::path& from, const fs::path& to) {
  const std::vector<std::string> names = data::tokenizer_files(files, from);
  if (names.empty()) {
    fail_data("{}: holds no tokenizer: neither tokenizer.json nor another of its files",
              from.string());
  }
  for (const std::string& name : names) {
    copy_file(files, from / name, to / name);
  }
}

void copy_config(FileSystem& files, const fs::path& from, const fs::path& to, const Json& changes) {
  constexpr std::string_view kName = "config.json";
  if (changes.empty()) return copy_file(files, from / kName, to / kName);
  Json config = read_json(files, from / kName);
  if (!config.is_object()) fail_data("{}: must hold a JSON object", (from / kName).string());
  for (const auto& [key, value] : changes.items()) config[key] = value;
  write_synced(files, to / kName, dump_json_pretty(config) + "\n");
}

Json dtype_changes(const Json& config, DType dtype) {
  Json changes = Json::object();
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (config.is_object() && config.contains(key)) changes[key] = torch_dtype_name(dtype);
  }
  if (changes.empty()) changes["torch_dtype"] = torch_dtype_name(dtype);
  return changes;
}

}  // namespace weft::model
