#pragma once

#include <cstdint>

#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

/// The operator of kernels/dropout.h on device pointers: the same bits as on a CPU.
struct Dropout {
  Element element;
  const void* x;
  void* out;  ///< may be x
  std::int64_t count;
  std::uint64_t seed;
  std::uint64_t stream;
  std::uint64_t threshold;  ///< of 2^32: random words below it drop their element
  float kept;               ///< what the other elements are multiplied with
  bool accumulate;
};
void dropout(const Dropout& args, Stream stream);

}  // namespace weft::kernels::cuda
