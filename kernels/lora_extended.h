#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/arena.h"
#include "kernels/lora_linear.h"

namespace weft::kernels::detail {

// A projection and its adapters out of one extended buffer (LoraGroup::extended); shapes as in
// lora_linear.h. An internal Error for a weight that is not in the buffer, or with dropout, which
// has a mask for each adapter.

/// s = x · Aᵀ; y = [x | s] · [W | sB]ᵀ.
void extended_forward(const at::Tensor& x, const BaseWeight& weight, const LoraGroup& lora,
                      const at::Tensor& y, const at::Tensor& s, Arena& scratch);

/// ds = dy · sB; dx = [dy | ds] · [W ; A] where it is defined.
void extended_backward_input(const at::Tensor& dy, const BaseWeight& weight, const LoraGroup& lora,
                             const at::Tensor& ds, const at::Tensor& dx, Arena& scratch);

}  // namespace weft::kernels::detail
