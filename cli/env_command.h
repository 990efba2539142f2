#pragma once

#include <CLI/App.hpp>

namespace weft::cli {

/// Adds `weft env`: versions, devices, what is usable and why not.
void add_env_command(CLI::App& app);

}  // namespace weft::cli
