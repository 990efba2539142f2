#include "kernels/swiglu.h"

#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>

#include "kernels/cuda/swiglu.h"
#include "kernels/device_dispatch.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

void check(const at::Tensor& gate_up, const at::Tensor& out) {
  check_rows(gate_up, {gate_up.size(0), 2 * out.size(1)}, out.scalar_type(), "swiglu gate_up");
  check_rows(out, {gate_up.size(0), gate_up.size(1) / 2}, gate_up.scalar_type(), "swiglu out");
}

// What the CUDA kernels did of a pass.
enum class Done { kNothing, kOutput, kAll };

Done forward_on_device(const at::Tensor& gate_up, const at::Tensor& out, const Fp8Rows& quantized) {
  if constexpr (kHasDeviceKernels) {
    if (runs_on_device_kernels(out)) {
      const cuda::SwiGluForward args{.element = element_of(out),
                                     .gate_up = device_in(gate_up, "gate_up"),
                                     .out = device_out(out, "out"),
                                     .rows = out.size(0),
                                     .width = out.size(1),
                                     .gate_up_stride = gate_up.stride(0),
                                     .out_stride = out.stride(0)};
      if (quantized.defined() &&
          cuda::swiglu_forward_fp8(
              {.forward = args,
               .fp8_values = device_out<std::uint8_t>(quantized.values, "fp8_values"),
               .fp8_scales = device_out<float>(quantized.scales, "fp8_scales")},
              stream_of(out))) {
        return Done::kAll;
      }
      cuda::swiglu_forward(args, stream_of(out));
      return Done::kOutput;
    }
  }
  return Done::kNothing;
}

Done backward_on_device(const at::Tensor& gate_up, const at::Tensor& dout,
                        const at::Tensor& factors, const Fp8Rows& quantized) {
  if constexpr (kHasDeviceKernels) {
    if (runs_on_device_kernels(dout)) {
      const cuda::SwiGluBackward args{.element = element_of(dout),
                                      .gate_up = device_inout(gate_up, "gate_up"),
                                      .dout = device_inout(dout, "dout"),
                                      .rows = dout.size(0),
                                      .width = dout.size(1),
                                      .gate_up_stride = gate_up.stride(0),
                                      .dout_stride = dout.stride(0)};
      if (quantized.defined() &&
          cuda::swiglu_backward_fp8(
              {.backward = args,
               .factors = device_in<float>(factors, "factors"),
               .fp8_values = device_out<std::uint8_t>(quantized.values, "fp8_values"),
               .fp8_scales = device_out<float>(quantized.scales, "fp8_scales")},
              stream_of(dout))) {
        return Done::kAll;
      }
      cuda::swiglu_backward(args, stream_of(dout));
      return Done::kOutput;
    }
  }
  return Done::kNothing;
}

// The compositions for devices without a kernel of their own.
void forward_aten(const at::Tensor& gate_up, const at::Tensor& out) {
  const at::ScalarType wide = statistics_dtype(gate_up.scalar_type());
  const auto halves = gate_up.to(wide).chunk(2, 1);
  out.copy_(at::silu(halves[0]) * halves[1]);
}

void backward_aten(const at::Tensor& gate_up, const at::Tensor& dout) {
  const at::ScalarType wide = statistics_dtype(gate_up.scalar_type());
  const auto halves = gate_up.to(wide).chunk(2, 1);
  const at::Tensor sigmoid = at::sigmoid(halves[0]);
  const at::Tensor silu = halves[0] * sigmoid;
  const at::Tensor gradient = dout.to(wide);
  const at::Tensor dgate = gradient * halves[1] * (sigmoid + silu * (1 - sigmoid));
  const auto outputs = gate_up.chunk(2, 1);
  dout.copy_(silu * halves[1]);
  outputs[0].copy_(dgate);
  outputs[1].copy_(gradient * silu);
}

}  // namespace

void swiglu_forward(const at::Tensor& gate_up, const at::Tensor& out, const Fp8Rows& quantized) {
  check(gate_up, out);
  if (quantized.defined()) {
    check_tensor(out, out.sizes(), out.scalar_type(), "swiglu out, which is quantised,");
    check_fp8_rows(quantized, out.sizes(), "swiglu values", "swiglu scales");
  }
  log_traffic("swiglu", {gate_up}, {out, quantized.values, quantized.scales});
  const Done done = forward_on_device(gate_up, out, quantized);
  if (done == Done::kNothing) {
    const auto forward = runs_on_cpu_loops(gate_up) ? detail::swiglu_forward_cpu : forward_aten;
    forward(gate_up, out);
  }
  if (quantized.defined() && done != Done::kAll) {
    detail::quantize_rows_without_log(out, {}, quantized);
  }
}

void swiglu_backward(const at::Tensor& gate_up, const at::Tensor& dout, const at::Tensor& factors,
                     const Fp8Rows& quantized) {
  check(gate_up, dout);
  if (quantized.defined()) {
    check_tensor(gate_up, gate_up.sizes(), dout.scalar_type(),
                 "swiglu gate_up, which is quantised,");
    check_fp8_rows(quantized, gate_up.sizes(), "swiglu backward values", "swiglu backward scales");
    check_tensor(factors, {gate_up.size(1)}, at::kFloat, "swiglu backward factors");
    if (dout.size(1) * dout.element_size() > cuda::kWidestFp8GradientBytes) {
      swiglu_backward(gate_up, dout);
      quantize_rows(gate_up, factors, quantized);
      return;
    }
  }
  log_traffic("swiglu backward", {gate_up, dout, factors},
              {gate_up, dout, quantized.values, quantized.scales});
  const Done done = backward_on_device(gate_up, dout, factors, quantized);
  if (done == Done::kNothing) {
    const auto backward = runs_on_cpu_loops(gate_up) ? detail::swiglu_backward_cpu : backward_aten;
    backward(gate_up, dout);
  }
  if (quantized.defined() && done != Done::kAll) {
    detail::quantize_rows_without_log(gate_up, factors, quantized);
  }
}

}  // namespace weft::kernels
