#pragma once

#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/json.h"
#include "model/dtype.h"

namespace weft::model {

/// Where the file `name` of a model folder really is, for opening without following links. `name`
/// may come from an untrusted index: it must be a plain file name that ends in .safetensors (no
/// '/', no "..", nothing absolute). The entry must be a regular file, or a link of the Hugging Face
/// cache: `../../blobs/NAME`, to a regular file. Every other link, device or folder is a data
/// Error.
[[nodiscard]] fs::path locate_weight_file(const fs::path& folder, std::string_view name);

/// Copies the files of a model folder that are not weights and not config.json and that exist:
/// tokenizer, chat template, generation_config.json. Each is written and synced; `to` must not hold
/// them yet.
void copy_side_files(FileSystem& files, const fs::path& from, const fs::path& to);
/// Likewise the tokenizer's files alone; a data Error when there is none.
void copy_tokenizer_files(FileSystem& files, const fs::path& from, const fs::path& to);

/// Writes config.json into `to` as it is in `from`, unknown keys and key order included, with the
/// members of `changes` set. Without changes the bytes are the same.
void copy_config(FileSystem& files, const fs::path& from, const fs::path& to,
                 const Json& changes = Json::object());
/// The members of `config` that say that weights are stored as `dtype`, in the spelling (or both)
/// that it uses.
[[nodiscard]] Json dtype_changes(const Json& config, DType dtype);

}  // namespace weft::model
