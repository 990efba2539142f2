#pragma once

// What the launchers' headers are written with: plain C++, no CUDA and no LibTorch.

#include <cstdint>

struct CUstream_st;

namespace weft::kernels::cuda {

/// The driver's stream handle; null is the default stream.
using Stream = CUstream_st*;

/// The type of the elements that a `void*` of a launcher's arguments points to.
enum class Element { kFloat32, kBfloat16 };

/// Throws an internal Error: `kernel` could not be launched.
[[noreturn]] void fail_launch(const char* kernel, const char* reason);

}  // namespace weft::kernels::cuda
