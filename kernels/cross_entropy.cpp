#include "kernels/cross_entropy.h"

#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>

#include "kernels/cuda/cross_entropy.h"
#include "kernels/device_dispatch.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

// Whether the CUDA kernel took the rows.
bool run_on_device(const at::Tensor& logits, const at::Tensor& targets, double scale, bool gradient,
                   const at::Tensor& log_probs) {
  if constexpr (kHasDeviceKernels) {
    if (runs_on_device_kernels(logits)) {
      cuda::cross_entropy({.element = element_of(logits),
                           .logits = device_inout(logits, "logits"),
                           .targets = device_in<std::int64_t>(targets, "targets"),
                           .log_probs = device_out<float>(log_probs, "log_probs"),
                           .rows = logits.size(0),
                           .width = logits.size(1),
                           .scale = static_cast<float>(scale),
                           .gradient = gradient},
                          stream_of(logits));
      return true;
    }
  }
  return false;
}

void run(const at::Tensor& logits, const at::Tensor& targets, double scale, bool gradient,
         const at::Tensor& log_probs) {
  const std::int64_t rows = logits.size(0);
  check_tensor(logits, {rows, logits.size(1)}, logits.scalar_type(), "cross_entropy logits");
  check_tensor(targets, {rows}, at::kLong, "cross_entropy targets");
  check_tensor(log_probs, {rows}, statistics_dtype(logits.scalar_type()),
               "cross_entropy log_probs");
  // The logits are read again for their gradient.
  const at::Tensor again = gradient ? logits : at::Tensor();
  log_traffic("loss", {logits, again, targets}, {again, log_probs});
  if (run_on_device(logits, targets, scale, gradient, log_probs)) {
    return;
  }
  if (runs_on_cpu_loops(logits)) {
    detail::cross_entropy_cpu(logits, targets, scale, gradient, log_probs);
    return;
  }
  const at::Tensor all = at::log_softmax(logits, -1, log_probs.scalar_type());
  log_probs.copy_(all.gather(1, targets.unsqueeze(1)).squeeze(1));
  if (gradient) {
    at::Tensor probabilities = all.exp();
    probabilities.scatter_add_(1, targets.unsqueeze(1),
                               at::full({rows, 1}, -1.0, probabilities.options()));
    logits.copy_(probabilities.mul_(scale));
  }
}

}  // namespace

void target_log_probs(const at::Tensor& logits, const at::Tensor& targets,
                      const at::Tensor& log_probs) {
  run(logits, targets, 0.0, /*gradient=*/false, log_probs);
}

void cross_entropy_forward_backward(const at::Tensor& logits, const at::Tensor& targets,
                                    double scale, const at::Tensor& log_probs) {
  run(logits, targets, scale, /*gradient=*/true, log_probs);
}

}  // namespace weft::kernels
