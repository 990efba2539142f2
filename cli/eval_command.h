#pragma once

#include <CLI/App.hpp>

namespace weft::cli {

/// Adds `weft eval CONFIG [key=value …]`: loss, perplexity and exact match of a held-out set, as
/// one JSON object.
void add_eval_command(CLI::App& app);

}  // namespace weft::cli
