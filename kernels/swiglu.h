#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/fp8.h"

namespace weft::kernels {

// SwiGLU (Shazeer, "GLU Variants Improve Transformer", 2020): out = silu(gate) * up. gate_up [T,
// 2F] holds the gate in its first F columns; fp32, fp64 or bf16, computed in fp32 (fp64). The rows
// of gate_up and of out may lie in wider ones, unless they are quantised.

/// out [T, F]; `quantized` receives the same as rows of e4m3 numbers, where it is defined.
void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& out,
                    const Fp8Rows& quantized = {});

/// On entry gate_up is the forward's input and dout [T, F] the gradient of its output. On return
/// gate_up holds the gradients of gate and up, and dout holds the forward's output, which the
/// caller needs for the next projection's adapter. `quantized` receives the gradients of gate and
/// up, their columns times `factors` [2F] fp32, as rows of e4m3 numbers, where it is defined.
void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& dout,
                     const at::Tensor& factors = {}, const Fp8Rows& quantized = {});

namespace detail {
void swiglu_forward_cpu(const at::Tensor& gate_up, const at::Tensor& out);
void swiglu_backward_cpu(const at::Tensor& gate_up, const at::Tensor& dout);
}  // namespace detail

}  // namespace weft::kernels
