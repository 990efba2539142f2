#include "kernels/cross_entropy.h"

#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>

#include "kernels/cuda/cross_entropy.h"
#include "kernels/device_dispatch.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

// Whether the CUDA kernel took the rows. `gradient` undefined: none.
bool run_on_device(const at::Tensor& logits, const at::Tensor& targets, double scale,
                   const at::Tensor& gradient, const at::Tensor& log_probs) {
  if constexpr (kHasDeviceKernels) {
    if (runs_on_device_kernels(logits)) {
      const bool in_place = gradient.is_same(logits);
      void* const both = in_place ? device_inout(logits, "logits") : nullptr;
      cuda::cross_entropy({.element = element_of(logits),
                           .logits = in_place ? both : device_in(logits, "logits"),
                           .gradient = in_place ? both : device_out(gradient, "gradient"),
                           .gradient_element = element_of(gradient.defined() ? gradient : logits),
                           .targets = device_in<std::int64_t>(targets, "targets"),
                           .log_probs = device_out<float>(log_probs, "log_probs"),
                           .rows = logits.size(0),
                           .width = logits.size(1),
                           .scale = static_cast<float>(scale)},
                          stream_of(logits));
      return true;
    }
  }
  return false;
}

void check(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& gradient,
           const at::Tensor& log_probs) {
  const std::int64_t rows = logits.size(0);
  check_tensor(logits, {rows, logits.size(1)}, logits.scalar_type(), "cross_entropy logits");
  check_tensor(targets, {rows}, at::kLong, "cross_entropy targets");
  check_tensor(log_probs, {rows}, statistics_dtype(logits.scalar_type()),
               "cross_entropy log_probs");
  if (gradient.defined()) {
    const bool narrower =
        logits.scalar_type() == at::kFloat && gradient.scalar_type() == at::kBFloat16;
    check_tensor(gradient, logits.sizes(), narrower ? at::kBFloat16 : logits.scalar_type(),
                 "cross_entropy gradient");
  }
}

void run(const at::Tensor& logits, const at::Tensor& targets, double scale,
         const at::Tensor& gradient, const at::Tensor& log_probs) {
  check(logits, targets, gradient, log_probs);
  // The logits are read again for their gradient.
  log_traffic("loss", {logits, gradient.defined() ? logits : gradient, targets},
              {gradient, log_probs});
  if (run_on_device(logits, targets, scale, gradient, log_probs)) {
    return;
  }
  if (runs_on_cpu_loops(logits)) {
    detail::cross_entropy_cpu(logits, targets, scale, gradient.defined(), log_probs);
    if (gradient.defined() && !gradient.is_same(logits)) {
      gradient.copy_(logits);
    }
    return;
  }
  const at::Tensor all = at::log_softmax(logits, -1, log_probs.scalar_type());
  log_probs.copy_(all.gather(1, targets.unsqueeze(1)).squeeze(1));
  if (gradient.defined()) {
    at::Tensor probabilities = all.exp();
    probabilities.scatter_add_(1, targets.unsqueeze(1),
                               at::full({logits.size(0), 1}, -1.0, probabilities.options()));
    gradient.copy_(probabilities.mul_(scale));
  }
}

}  // namespace

void target_log_probs(const at::Tensor& logits, const at::Tensor& targets,
                      const at::Tensor& log_probs) {
  run(logits, targets, 0.0, /*gradient=*/{}, log_probs);
}

void cross_entropy_forward_backward(const at::Tensor& logits, const at::Tensor& targets,
                                    double scale, const at::Tensor& log_probs,
                                    const at::Tensor& gradient) {
  run(logits, targets, scale, gradient.defined() ? gradient : logits, log_probs);
}

}  // namespace weft::kernels
