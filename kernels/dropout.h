#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace weft::kernels {

/// out = x with each element zeroed with probability p, the others divided by 1 - p. Which ones is
/// a pure function of (seed, stream, element index), so the backward pass calls this again on its
/// gradient instead of keeping a mask. x and out [T, N] contiguous, same dtype; out may be x; with
/// `accumulate` the result is added to out.
void dropout(const at::Tensor& x, double p, std::uint64_t seed, std::uint64_t stream,
             const at::Tensor& out, bool accumulate = false);

}  // namespace weft::kernels
