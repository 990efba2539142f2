#pragma once

#include <CLI/App.hpp>

namespace weft::cli {

/// Adds `weft score`: JSON lines in, log-probabilities of every token out.
void add_score_command(CLI::App& app);

}  // namespace weft::cli
