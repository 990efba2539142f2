#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "trainer/trainer.h"

namespace weft::trainer {

/// What has happened since the last logged step, beside the loss, which a checkpoint holds.
struct Trainer::Interval {
  std::int64_t tokens = 0;
  double flops = 0;
  double grad_norm = 0;
  double learning_rate = 0;
  std::vector<double> rank_seconds;  ///< that each rank spent in its own passes
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point run_began = began;
};

}  // namespace weft::trainer
