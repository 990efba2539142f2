#include "kernels/gemm.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

// A widened piece of a large matrix stays under this many elements (16 MiB of fp32).
constexpr std::int64_t kPanelElements = std::int64_t{4} << 20;

void multiply(at::Tensor out, const at::Tensor& a, const at::Tensor& b, bool accumulate,
              double alpha) {
  if (!accumulate && alpha == 1.0) {
    at::mm_out(out, a, b);
  } else {
    at::addmm_out(out, out, a, b, accumulate ? 1.0 : 0.0, alpha);
  }
}

at::Tensor widen(const at::Tensor& tensor, Arena& scratch) {
  if (tensor.scalar_type() == at::kFloat) {
    return tensor;
  }
  // Converting in memory order keeps a transposed view a transposed view: no element moves twice.
  const bool transposed = tensor.stride(0) == 1 && tensor.stride(1) != 1;
  const at::Tensor source = transposed ? tensor.t() : tensor;
  at::Tensor wide = scratch.take(source.sizes(), at::kFloat);
  wide.copy_(source);
  return transposed ? wide.t() : wide;
}

// wide_out [M, N] fp32 (+)= alpha * a · b with b widened panel by panel along the dimension its
// rows in memory run over.
void multiply_panels(const at::Tensor& wide_out, const at::Tensor& a, const at::Tensor& b,
                     Arena& scratch, bool accumulate, double alpha) {
  const bool transposed = b.stride(0) == 1 && b.stride(1) != 1;
  const std::int64_t outer = transposed ? b.size(1) : b.size(0);
  const std::int64_t inner = transposed ? b.size(0) : b.size(1);
  const std::int64_t step =
      std::max<std::int64_t>(kPanelElements / std::max<std::int64_t>(inner, 1), 16);
  for (std::int64_t begin = 0; begin < outer; begin += step) {
    const Arena::Scope scope(scratch);
    const std::int64_t count = std::min(step, outer - begin);
    const at::Tensor panel = widen(b.narrow(transposed ? 1 : 0, begin, count), scratch);
    if (transposed) {
      multiply(wide_out.narrow(1, begin, count), a, panel, accumulate, alpha);
    } else {
      multiply(wide_out, a.narrow(1, begin, count), panel, accumulate || begin > 0, alpha);
    }
  }
}

// Products with an adapter's rank on one side are bound by memory, not by arithmetic.
void log_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool accumulate) {
  constexpr std::int64_t kThin = 512;
  const bool thin = std::min({a.size(0), a.size(1), b.size(1)}) < kThin;
  log_work(thin ? "product, thin" : "product", WorkKind::kProduct,
           2.0 * static_cast<double>(a.numel()) * static_cast<double>(b.size(1)),
           {a, b, accumulate ? out : at::Tensor()}, {out});
}

// bf16 operands into fp32 on a GPU: the sums stay as the tensor cores have them, and there is no
// temporary. LibTorch has this product for CUDA alone.
void multiply_into_fp32(at::Tensor out, const at::Tensor& a, const at::Tensor& b, bool accumulate,
                        double alpha) {
  if (out.is_meta()) {
    return;  // planned: it takes no memory of its own
  }
  if (!accumulate && alpha == 1.0) {
    at::mm_out(out, a, b, at::kFloat);
  } else {
    at::addmm_out(out, out, a, b, at::kFloat, accumulate ? 1.0 : 0.0, alpha);
  }
}

void multiply_widened(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                      Arena& scratch, bool accumulate, double alpha) {
  const Arena::Scope scope(scratch);
  const at::Tensor wide_a = widen(a, scratch);
  if (out.scalar_type() == at::kFloat) {
    multiply_panels(out, wide_a, b, scratch, accumulate, alpha);
    return;
  }
  const at::Tensor wide_out = scratch.take(out.sizes(), at::kFloat);
  if (accumulate) {
    wide_out.copy_(out);
  }
  multiply_panels(wide_out, wide_a, b, scratch, accumulate, alpha);
  out.copy_(wide_out);
}

}  // namespace

void gemm(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, Arena& scratch,
          bool accumulate, double alpha) {
  const auto is_narrow = [](const at::Tensor& x) {
    return x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat8_e4m3fn;
  };
  const bool widened = scratch.planned_for() == at::kCPU && (is_narrow(a) || is_narrow(b));
  if (a.size(1) != b.size(0) || out.size(0) != a.size(0) || out.size(1) != b.size(1) ||
      (a.scalar_type() != b.scalar_type() && !widened)) {
    fail_internal("gemm of {} by {} into {}", describe(a), describe(b), describe(out));
  }
  if (out.numel() == 0) {
    return;
  }
  log_product(out, a, b, accumulate);
  if (a.size(1) == 0) {
    if (!accumulate) {
      out.zero_();
    }
    return;
  }
  if (widened) {
    multiply_widened(out, a, b, scratch, accumulate, alpha);
  } else if (out.scalar_type() == a.scalar_type()) {
    multiply(out, a, b, accumulate, alpha);
  } else if (scratch.planned_for() == at::kCUDA && a.scalar_type() == at::kBFloat16 &&
             out.scalar_type() == at::kFloat) {
    multiply_into_fp32(out, a, b, accumulate, alpha);
  } else {
    const Arena::Scope scope(scratch);
    at::Tensor product = scratch.take(out.sizes(), a.scalar_type());
    at::mm_out(product, a, b);
    if (!accumulate) {
      out.zero_();
    }
    out.add_(product, alpha);
  }
}

}  // namespace weft::kernels
