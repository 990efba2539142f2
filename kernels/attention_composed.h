#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <tuple>

namespace weft::kernels::detail {

// Attention of plain ATen operators, for devices and types without a kernel of their own. q [1, Hq,
// n, D] are the last n of the m positions that k and v [1, Hk, m, D] have; causal.

/// [1, Hq, m, D]: each key or value head once for every query head that it serves.
[[nodiscard]] at::Tensor repeat_groups(const at::Tensor& heads, std::int64_t heads_q);

/// [1, Hq, n, m], minus infinity where a query may not look.
[[nodiscard]] at::Tensor masked_scores(const at::Tensor& q, const at::Tensor& k, double scale);

/// Output [1, Hq, n, D] and log-sum-exp [1, Hq, n].
[[nodiscard]] std::tuple<at::Tensor, at::Tensor> attend_composed(const at::Tensor& q,
                                                                 const at::Tensor& k,
                                                                 const at::Tensor& v, double scale);

/// Gradients of q, k and v.
[[nodiscard]] std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward_composed(
    const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, double scale);

}  // namespace weft::kernels::detail
