#pragma once

#include <CLI/App.hpp>

namespace weft::cli {

/// Adds `weft init`: writes a randomly initialised Qwen3 checkpoint of a published size, or a tiny
/// one.
void add_init_command(CLI::App& app);

}  // namespace weft::cli
