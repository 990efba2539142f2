#pragma once

#include <CLI/App.hpp>

namespace weft::cli {

/// Adds `weft tokenize CONFIG [key=value …]`: raw files to a folder of HDF5 token shards.
void add_tokenize_command(CLI::App& app);

}  // namespace weft::cli
