#pragma once

#include <CLI/App.hpp>

namespace weft::cli {

/// Adds `weft generate`: text from a prompt, or a chat in the terminal.
void add_generate_command(CLI::App& app);

}  // namespace weft::cli
