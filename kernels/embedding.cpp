#include "kernels/embedding.h"

#include <ATen/ops/index_select.h>

#include "kernels/tensor_checks.h"

namespace weft::kernels {

void embedding_forward(const at::Tensor& table, const at::Tensor& tokens, const at::Tensor& out) {
  check_tensor(out, {tokens.size(0), table.size(1)}, table.scalar_type(), "embedding out");
  if (out.is_meta()) {
    return;  // ATen cannot select there
  }
  at::Tensor rows = out;
  at::index_select_out(rows, table, 0, tokens);
}

void embedding_backward(const at::Tensor& dout, const at::Tensor& tokens,
                        const at::Tensor& grad_table) {
  check_tensor(dout, {tokens.size(0), grad_table.size(1)}, dout.scalar_type(), "embedding dout");
  grad_table.index_add_(0, tokens, dout.to(grad_table.scalar_type()));
}

}  // namespace weft::kernels
