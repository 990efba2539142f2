#pragma once

#include <CLI/App.hpp>

namespace weft::cli {

/// Adds `weft inspect`: what a folder of shards, a shard, a model, an adapter, a checkpoint or a
/// run holds.
void add_inspect_command(CLI::App& app);

}  // namespace weft::cli
