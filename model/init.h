#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/file_system.h"
#include "model/checkpoint_writer.h"
#include "model/qwen3_config.h"

namespace weft::model {

struct InitOptions {
  std::uint64_t seed = 42;
  std::uint64_t max_shard_bytes = kDefaultShardBytes;
  int threads = 0;  ///< 0: as many as the machine runs at once
};

/// Fills `values` with normal numbers of mean 0 and the given deviation: elements [first, first +
/// size) of the stream of (seed, tensor name), whatever the threads and pieces. `first` is a
/// multiple of 4.
void fill_normal(std::span<float> values, std::uint64_t seed, std::string_view tensor,
                 std::uint64_t first, double deviation);

/// Writes a model of that configuration into `folder` (a PublishedFolder's path): weights of type
/// config.dtype, normal with deviation initializer_range, norms 1; config.json;
/// generation_config.json where the config has end tokens. Equal seeds give equal bytes. Memory
/// does not grow with the model.
void write_random_checkpoint(FileSystem& files, const fs::path& folder, const Qwen3Config& config,
                             const InitOptions& options);

}  // namespace weft::model
