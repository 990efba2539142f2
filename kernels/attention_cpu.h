#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace weft::kernels::detail {

// ATen's attention for CPUs on one document: q [1, Hq, n, D], k and v [1, Hk, m, D]; causal, with m
// = n, or every query looks at every key.

/// Output [1, Hq, n, D] and log-sum-exp [1, Hq, n]. A NaN or infinity in the inputs makes both NaN.
[[nodiscard]] std::tuple<at::Tensor, at::Tensor> attend_cpu(const at::Tensor& q,
                                                            const at::Tensor& k,
                                                            const at::Tensor& v, double scale,
                                                            bool causal);

/// Gradients of q, k and v.
[[nodiscard]] std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward_cpu(
    const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, double scale, bool causal);

}  // namespace weft::kernels::detail
