#include "kernels/fp8.h"

#include <ATen/ops/_scaled_mm.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/where.h>

#include <limits>

#include "kernels/cuda/fp8.h"
#include "kernels/device_dispatch.h"
#include "kernels/fp8_scale.h"
#include "kernels/gemm.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

bool quantize_on_device(const at::Tensor& x, const at::Tensor& factors, const Fp8Rows& out) {
  if constexpr (kHasDeviceKernels) {
    return runs_on_device_kernels(x) &&
           cuda::quantize_rows({.element = element_of(x),
                                .x = device_in(x, "x"),
                                .factors = device_in<float>(factors, "factors"),
                                .values = device_out<std::uint8_t>(out.values, "values"),
                                .scales = device_out<float>(out.scales, "scales"),
                                .rows = x.size(0),
                                .width = x.size(1)},
                               stream_of(x));
  }
  return false;
}

// The composition for what no kernel takes.
void quantize_aten(const at::Tensor& x, const at::Tensor& factors, const Fp8Rows& out) {
  at::Tensor wide = x.to(at::kFloat);
  if (factors.defined()) {
    wide = wide * factors;
  }
  const at::Tensor sizes = at::where(wide.isnan(), 0.0, wide.abs());
  const at::Tensor largest = sizes.amax(1).view(at::kInt);
  // As fp8_scale_bits has it.
  const at::Tensor exponents = ((largest + 0x1fffff).bitwise_right_shift(23) - 8).clamp_min(1);
  const at::Tensor scales = at::where(largest.eq(0), 127, exponents).to(at::kInt);
  out.scales.copy_(scales.bitwise_left_shift(23).view(at::kFloat));
  const at::Tensor inverse = (254 - scales).bitwise_left_shift(23).view(at::kFloat).unsqueeze(1);
  const at::Tensor scaled = wide * inverse;
  out.values.copy_(at::where(scaled.isfinite(), scaled, std::numeric_limits<double>::quiet_NaN()));
}

bool on_gpu(const at::Tensor& tensor, const Arena& scratch) {
  return tensor.is_cuda() || (tensor.is_meta() && scratch.planned_for() == at::kCUDA);
}

// out = a · bᵀ on a GPU, whose product asks for sizes that are multiples of 16, and wants a scale
// for each column.
void scaled_product(const at::Tensor& out, const Fp8Rows& a, const at::Tensor& b,
                    const at::Tensor& column_scales) {
  log_work("product, 8 bits", WorkKind::kProduct,
           2.0 * static_cast<double>(a.values.numel()) * static_cast<double>(b.size(0)),
           {a.values, a.scales, b, column_scales}, {out});
  if (out.is_meta() || out.numel() == 0) {
    return;
  }
  at::Tensor result = out;
  at::_scaled_mm_out(result, a.values, b.t(), a.scales.unsqueeze(1), column_scales.unsqueeze(0),
                     /*bias=*/std::nullopt, /*scale_result=*/std::nullopt, at::kBFloat16,
                     /*use_fast_accum=*/false);
}

// out [T, N] = (a · b) * the scales, by products in fp32; b [K, N] e4m3.
void widened_product(const at::Tensor& out, const Fp8Rows& a, const at::Tensor& b,
                     const at::Tensor& column_scales, Arena& scratch) {
  const Arena::Scope scope(scratch);
  const at::Tensor sums =
      out.scalar_type() == at::kFloat ? out : scratch.take(out.sizes(), at::kFloat);
  gemm(sums, a.values, b, scratch);
  sums.mul_(a.scales.unsqueeze(1));
  if (column_scales.defined()) {
    sums.mul_(column_scales.unsqueeze(0));
  }
  if (!sums.is_same(out)) {
    out.copy_(sums);
  }
}

}  // namespace

void check_fp8_rows(const Fp8Rows& rows, at::IntArrayRef sizes, const char* values,
                    const char* scales) {
  check_tensor(rows.values, sizes, at::kFloat8_e4m3fn, values);
  check_tensor(rows.scales, {sizes[0]}, at::kFloat, scales);
}

Fp8Rows take_fp8_rows(std::int64_t rows, std::int64_t width, Arena& arena) {
  return {arena.take({rows, width}, at::kFloat8_e4m3fn), arena.take({rows}, at::kFloat)};
}

void quantize_rows(const at::Tensor& x, const at::Tensor& factors, const Fp8Rows& out) {
  check_tensor(x, {x.size(0), x.size(1)}, x.scalar_type(), "quantize_rows x");
  check_fp8_rows(out, x.sizes(), "quantize_rows values", "quantize_rows scales");
  if (factors.defined()) {
    check_tensor(factors, {x.size(1)}, at::kFloat, "quantize_rows factors");
  }
  log_traffic("quantize", {x, factors}, {out.values, out.scales});
  detail::quantize_rows_without_log(x, factors, out);
}

void detail::quantize_rows_without_log(const at::Tensor& x, const at::Tensor& factors,
                                       const Fp8Rows& out) {
  if (x.is_meta() || quantize_on_device(x, factors, out)) {
    return;
  }
  const auto quantize = runs_on_cpu_loops(x) ? quantize_rows_cpu : quantize_aten;
  quantize(x, factors, out);
}

void fp8_linear(const at::Tensor& y, const Fp8Rows& x, const Fp8Rows& weight, Arena& scratch) {
  const std::int64_t in = weight.values.size(1);
  check_tensor(y, {x.values.size(0), weight.values.size(0)}, y.scalar_type(), "fp8_linear y");
  check_fp8_rows(x, {y.size(0), in}, "fp8_linear x", "fp8_linear x scales");
  check_fp8_rows(weight, {y.size(1), in}, "fp8_linear weight", "fp8_linear weight scales");
  if (on_gpu(y, scratch)) {
    scaled_product(y, x, weight.values, weight.scales);
  } else {
    widened_product(y, x, weight.values.t(), weight.scales, scratch);
  }
}

void fp8_linear_backward(const at::Tensor& dx, const Fp8Rows& dy, const Fp8Rows& weight,
                         Arena& scratch) {
  const std::int64_t out = weight.values.size(0);
  check_tensor(dx, {dy.values.size(0), weight.values.size(1)}, dx.scalar_type(),
               "fp8_linear_backward dx");
  check_fp8_rows(dy, {dx.size(0), out}, "fp8_linear_backward dy", "fp8_linear_backward dy scales");
  check_fp8_rows(weight, {out, dx.size(1)}, "fp8_linear_backward weight",
                 "fp8_linear_backward weight scales");
  if (!on_gpu(dx, scratch)) {
    widened_product(dx, dy, weight.values, {}, scratch);
    return;
  }
  const Arena::Scope scope(scratch);
  const at::Tensor turned = scratch.take({dx.size(1), out}, at::kFloat8_e4m3fn);
  transpose_fp8(weight.values, turned);
  const at::Tensor ones = scratch.take({dx.size(1)}, at::kFloat);
  log_traffic("ones", {}, {ones});
  ones.fill_(1.0);
  scaled_product(dx, dy, turned, ones);
}

void transpose_fp8(const at::Tensor& in, const at::Tensor& out) {
  check_tensor(in, {in.size(0), in.size(1)}, at::kFloat8_e4m3fn, "transpose_fp8 in");
  check_tensor(out, {in.size(1), in.size(0)}, at::kFloat8_e4m3fn, "transpose_fp8 out");
  log_traffic("transpose, 8 bits", {in}, {out});
  if (in.is_meta()) {
    return;
  }
  if constexpr (kHasDeviceKernels) {
    if (runs_on_device_kernels(out)) {
      cuda::transpose_bytes({.in = device_in<std::uint8_t>(in, "in"),
                             .out = device_out<std::uint8_t>(out, "out"),
                             .rows = in.size(0),
                             .columns = in.size(1)},
                            stream_of(in));
      return;
    }
  }
  out.view(at::kByte).copy_(in.view(at::kByte).t());
}

}  // namespace weft::kernels
