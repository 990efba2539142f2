#pragma once

#include <CLI/App.hpp>

namespace weft::cli {

/// Adds `weft export`: an adapter in the form that other tools load.
void add_export_command(CLI::App& app);

}  // namespace weft::cli
