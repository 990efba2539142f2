#pragma once

#include <ATen/core/Tensor.h>

namespace weft::kernels {

/// out [T, H] = rows of table [V, H] picked by tokens [T] int64 (each in [0, V)).
void embedding_forward(const at::Tensor& table, const at::Tensor& tokens, const at::Tensor& out);

/// grad_table [V, H] fp32 (fp64) += the gradient of the rows, dout [T, H]; equal tokens add up in
/// the order of the rows.
void embedding_backward(const at::Tensor& dout, const at::Tensor& tokens,
                        const at::Tensor& grad_table);

}  // namespace weft::kernels
