#pragma once

#include <CLI/App.hpp>

namespace weft::cli {

/// Adds `weft merge`: base + adapter as a plain Hugging Face checkpoint.
void add_merge_command(CLI::App& app);

}  // namespace weft::cli
