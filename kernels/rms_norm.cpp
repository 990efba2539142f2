#include "kernels/rms_norm.h"

#include <ATen/ops/abs.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/min.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/rsqrt.h>

#include "kernels/cuda/rms_norm.h"
#include "kernels/device_dispatch.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

// The composition for devices without a kernel of their own.
void forward_aten(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                  double eps, const at::Tensor& y, const at::Tensor& rstd,
                  const at::Tensor& normalized) {
  if (delta.defined()) {
    x.add_(delta);
  }
  const at::Tensor wide = x.to(rstd.scalar_type());
  rstd.copy_(wide.square().mean(-1).add(eps).rsqrt());
  const at::Tensor unit = wide * rstd.unsqueeze(-1);
  if (normalized.defined()) {
    normalized.copy_(unit);
  }
  y.copy_(unit * weight);
}

void backward_aten(const at::Tensor& dy, const at::Tensor& y, const at::Tensor& normalized,
                   const at::Tensor& weight, const at::Tensor& rstd, const at::Tensor& dx,
                   const at::Tensor& dweight) {
  const at::ScalarType wide = rstd.scalar_type();
  const at::Tensor w = weight.to(wide);
  const at::Tensor unit = normalized.defined() ? normalized.to(wide) : y.to(wide) / w;
  const at::Tensor dyw = dy.to(wide) * w;
  const at::Tensor mean = (dyw * unit).mean(-1, /*keepdim=*/true);
  dx.add_(((dyw - unit * mean) * rstd.unsqueeze(-1)).to(dx.scalar_type()));
  if (dweight.defined()) {
    dweight.add_((dy.to(wide) * unit).sum(0));
  }
}

// These return whether the CUDA kernels took the rows.
bool forward_on_device(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                       double eps, const at::Tensor& y, const at::Tensor& rstd,
                       const at::Tensor& normalized, const Fp8Rows& quantized) {
  if constexpr (kHasDeviceKernels) {
    return runs_on_device_kernels(x) &&
           cuda::rms_norm_forward(
               {.element = element_of(x),
                .x = device_inout(x, "x"),
                .delta = device_in(delta, "delta"),
                .weight = device_in(weight, "weight"),
                .y = device_out(y, "y"),
                .rstd = device_out<float>(rstd, "rstd"),
                .normalized = device_out(normalized, "normalized"),
                .fp8_values = device_out<std::uint8_t>(quantized.values, "fp8_values"),
                .fp8_scales = device_out<float>(quantized.scales, "fp8_scales"),
                .rows = x.size(0),
                .width = x.size(1),
                .y_stride = y.stride(0),
                .eps = static_cast<float>(eps)},
               stream_of(x));
  }
  return false;
}

bool backward_on_device(const at::Tensor& dy, const at::Tensor& y, const at::Tensor& normalized,
                        const at::Tensor& weight, const at::Tensor& rstd, const at::Tensor& dx,
                        const at::Tensor& dweight) {
  if constexpr (kHasDeviceKernels) {
    if (!runs_on_device_kernels(dy)) {
      return false;
    }
    const bool weighted = !normalized.defined();
    const at::Tensor& output = weighted ? y : normalized;
    const at::Tensor partials =
        dweight.defined()
            ? at::empty({cuda::partial_sums_of(dy.size(0)), dy.size(1)}, dweight.options())
            : at::Tensor();
    return cuda::rms_norm_backward({.element = element_of(dy),
                                    .dy = device_in(dy, "dy"),
                                    .output = device_in(output, "output"),
                                    .weighted = weighted,
                                    .weight = device_in(weight, "weight"),
                                    .rstd = device_in<float>(rstd, "rstd"),
                                    .dx = device_inout(dx, "dx"),
                                    .dweight = device_inout<float>(dweight, "dweight"),
                                    .partials = device_out<float>(partials, "partials"),
                                    .rows = dy.size(0),
                                    .width = dy.size(1),
                                    .output_stride = output.stride(0),
                                    .dx_stride = dx.stride(0)},
                                   stream_of(dy));
  }
  return false;
}

}  // namespace

void add_rms_norm_forward(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                          double eps, const at::Tensor& y, const at::Tensor& rstd,
                          const at::Tensor& normalized, const Fp8Rows& quantized) {
  const at::ScalarType dtype = x.scalar_type();
  check_tensor(x, {x.size(0), weight.numel()}, dtype, "rms_norm x");
  check_tensor(weight, {x.size(1)}, dtype, "rms_norm weight");
  check_rows(y, x.sizes(), dtype, "rms_norm y");
  check_tensor(rstd, {x.size(0)}, statistics_dtype(dtype), "rms_norm rstd");
  if (delta.defined()) {
    check_tensor(delta, x.sizes(), dtype, "rms_norm delta");
  }
  if (normalized.defined()) {
    check_tensor(normalized, x.sizes(), dtype, "rms_norm normalized");
  }
  if (quantized.defined()) {
    check_fp8_rows(quantized, x.sizes(), "rms_norm values", "rms_norm scales");
  }
  log_traffic("norm", {x, delta, weight},
              {delta.defined() ? x : at::Tensor(), y, rstd, normalized, quantized.values,
               quantized.scales});
  if (forward_on_device(x, delta, weight, eps, y, rstd, normalized, quantized)) {
    return;
  }
  const auto forward = runs_on_cpu_loops(x) ? detail::add_rms_norm_forward_cpu : forward_aten;
  forward(x, delta, weight, eps, y, rstd, normalized);
  if (quantized.defined()) {
    detail::quantize_rows_without_log(y, {}, quantized);
  }
}

void rms_norm_backward(const at::Tensor& dy, const at::Tensor& y, const at::Tensor& normalized,
                       const at::Tensor& weight, const at::Tensor& rstd, const at::Tensor& dx,
                       const at::Tensor& dweight) {
  const at::ScalarType dtype = dy.scalar_type();
  check_tensor(dy, {dy.size(0), weight.numel()}, dtype, "rms_norm dy");
  check_tensor(weight, {dy.size(1)}, dtype, "rms_norm weight");
  check_rows(dx, dy.sizes(), dtype, "rms_norm dx");
  check_tensor(rstd, {dy.size(0)}, statistics_dtype(dtype), "rms_norm rstd");
  check_rows(normalized.defined() ? normalized : y, dy.sizes(), dtype, "rms_norm output");
  if (dweight.defined()) {
    check_tensor(dweight, {dy.size(1)}, statistics_dtype(dtype), "rms_norm dweight");
  }
  log_traffic("norm backward",
              {dy, normalized.defined() ? normalized : y, weight, rstd, dx, dweight}, {dx, dweight},
              dweight.defined() ? 2 : 1);
  if (backward_on_device(dy, y, normalized, weight, rstd, dx, dweight)) {
    return;
  }
  const auto backward = runs_on_cpu_loops(dy) ? detail::rms_norm_backward_cpu : backward_aten;
  backward(dy, y, normalized, weight, rstd, dx, dweight);
}

bool is_invertible(const at::Tensor& norm_weight) {
  // Below this a bf16 output may be subnormal, and its division loses what the rounding left.
  constexpr double kSmallest = 1e-5;
  // What is only planned has no values: a frozen norm of a real model is invertible.
  return norm_weight.numel() == 0 || norm_weight.is_meta() ||
         norm_weight.to(at::kCPU).abs().min().item<double>() > kSmallest;
}

}  // namespace weft::kernels
