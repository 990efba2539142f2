#pragma once

#include <CLI/App.hpp>

namespace weft::cli {

/// weft estimate CONFIG [key=value …]: what a run would take, before anything is allocated.
void add_estimate_command(CLI::App& app);

}  // namespace weft::cli
