#include "kernels/embedding.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/sort.h>

#include "kernels/cuda/embedding.h"
#include "kernels/device_dispatch.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

// These return whether the CUDA kernels took the rows.
bool forward_on_device(const at::Tensor& table, const at::Tensor& tokens, const at::Tensor& out) {
  if constexpr (kHasDeviceKernels) {
    if (table.is_contiguous() && runs_on_device_kernels(table)) {
      cuda::embedding_forward({.element = element_of(table),
                               .table = device_in(table, "table"),
                               .tokens = device_in<std::int64_t>(tokens, "tokens"),
                               .out = device_out(out, "out"),
                               .count = out.size(0),
                               .width = out.size(1)},
                              stream_of(table));
      return true;
    }
  }
  return false;
}

bool backward_on_device(const at::Tensor& dout, const at::Tensor& tokens,
                        const at::Tensor& grad_table) {
  if constexpr (kHasDeviceKernels) {
    if (grad_table.is_contiguous() && grad_table.scalar_type() == at::kFloat &&
        runs_on_device_kernels(dout)) {
      const auto [sorted, order] = at::sort(tokens, /*stable=*/true, 0, /*descending=*/false);
      cuda::embedding_backward({.element = element_of(dout),
                                .dout = device_in(dout, "dout"),
                                .sorted = device_in<std::int64_t>(sorted, "sorted"),
                                .order = device_in<std::int64_t>(order, "order"),
                                .grad_table = device_inout<float>(grad_table, "grad_table"),
                                .count = dout.size(0),
                                .width = dout.size(1)},
                               stream_of(dout));
      return true;
    }
  }
  return false;
}

}  // namespace

void embedding_forward(const at::Tensor& table, const at::Tensor& tokens, const at::Tensor& out) {
  check_tensor(out, {tokens.size(0), table.size(1)}, table.scalar_type(), "embedding out");
  log_traffic("embedding", {out, tokens}, {out});
  // ATen cannot select there
  if (out.is_meta() || forward_on_device(table, tokens, out)) {
    return;
  }
  at::Tensor rows = out;
  at::index_select_out(rows, table, 0, tokens);
}

void embedding_backward(const at::Tensor& dout, const at::Tensor& tokens,
                        const at::Tensor& grad_table) {
  check_tensor(dout, {tokens.size(0), grad_table.size(1)}, dout.scalar_type(), "embedding dout");
  log_traffic("embedding backward", {dout, dout, tokens}, {dout}, 3);
  if (backward_on_device(dout, tokens, grad_table)) {
    return;
  }
  grad_table.index_add_(0, tokens, dout.to(grad_table.scalar_type()));
}

}  // namespace weft::kernels
