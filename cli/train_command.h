#pragma once

#include <CLI/App.hpp>

namespace weft::cli {

/// Adds `weft train CONFIG [key=value …]`.
void add_train_command(CLI::App& app);

}  // namespace weft::cli
