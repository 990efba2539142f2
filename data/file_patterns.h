#pragma once

#include <vector>

#include "base/file_system.h"

namespace weft::data {

/// The files that a path of the config means, sorted by path:
///
///     data/a.jsonl        that file
///     data                every file in the folder and the folders in it
///     data/*.jsonl        * and ? for any characters of one name, [ab] for one of several
///     data/**/*.jsonl     ** for any number of folders, none included
///
/// Names that begin with a dot are left out unless the pattern writes the dot, and so are files
/// that only go with another one of them: NAME.bin and NAME.mask.* of Megatron's NAME.idx, and a
/// data_params.json beside .h5 files. A path that exists
/// is taken as it is, whatever characters it has. Data Errors for a path or pattern that nothing
/// answers to, and for folders nested more than 32 deep, as links in a circle are.
[[nodiscard]] std::vector<fs::path> find_input_files(FileSystem& files, const fs::path& path);

/// The files that are read together with one: of Megatron's NAME.idx the ids, and the masks where
/// there are any; of an HDF5 file the data_params.json beside it, where there is one.
[[nodiscard]] std::vector<fs::path> companion_files(FileSystem& files, const fs::path& path);

/// Whether the path has a character of a pattern.
[[nodiscard]] bool is_file_pattern(const fs::path& path);

}  // namespace weft::data
