#include <ATen/ops/ones_like.h>

#include "kernels/cpu_loops.h"
#include "kernels/rms_norm.h"
#include "kernels/tensor_checks.h"

namespace weft::kernels {
namespace {

struct ForwardArgs {
  void* x;
  const void* delta;
  const void* weight;
  void* y;
  void* rstd;
  void* normalized;
  std::int64_t width;
  std::int64_t y_stride;
  double eps;
};

template <typename T>
WEFT_INLINE void forward_rows(const ForwardArgs& args, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  const std::int64_t width = args.width;
  const T* weight = static_cast<const T*>(args.weight);
  for (std::int64_t row = begin; row < end; ++row) {
    T* x = static_cast<T*>(args.x) + row * width;
    if (args.delta != nullptr) {
      const T* delta = static_cast<const T*>(args.delta) + row * width;
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) {
        store(x + i, load(x + i) + load(delta + i));
      }
    }
    A sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < width; ++i) {
      sum += load(x + i) * load(x + i);
    }
    const A rstd = A{1} / std::sqrt(sum / static_cast<A>(width) + static_cast<A>(args.eps));
    static_cast<A*>(args.rstd)[row] = rstd;
    T* y = static_cast<T*>(args.y) + row * args.y_stride;
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      store(y + i, load(x + i) * rstd * load(weight + i));
    }
    if (args.normalized != nullptr) {
      T* normalized = static_cast<T*>(args.normalized) + row * width;
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) {
        store(normalized + i, load(x + i) * rstd);
      }
    }
  }
}
WEFT_CPU_KERNEL(forward_rows, ForwardArgs)

struct BackwardArgs {
  const void* dy;
  const void* output;  // norm(x), or norm(x) * weight when `weighted`
  const void* weight;
  const void* inverse_weight;
  const void* rstd;
  void* dx;
  std::int64_t width;
  std::int64_t output_stride;
  std::int64_t dx_stride;
};

template <typename T>
WEFT_INLINE void backward_rows(const BackwardArgs& args, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  const std::int64_t width = args.width;
  const T* weight = static_cast<const T*>(args.weight);
  const A* inverse = static_cast<const A*>(args.inverse_weight);
  for (std::int64_t row = begin; row < end; ++row) {
    const T* dy = static_cast<const T*>(args.dy) + row * width;
    const T* output = static_cast<const T*>(args.output) + row * args.output_stride;
    T* dx = static_cast<T*>(args.dx) + row * args.dx_stride;
    A sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < width; ++i) {
      sum += load(dy + i) * load(weight + i) * load(output + i) * inverse[i];
    }
    const A rstd = static_cast<const A*>(args.rstd)[row];
    const A mean = sum / static_cast<A>(width);
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      const A unit = load(output + i) * inverse[i];
      store(dx + i, load(dx + i) + (load(dy + i) * load(weight + i) - unit * mean) * rstd);
    }
  }
}
WEFT_CPU_KERNEL(backward_rows, BackwardArgs)

struct WeightArgs {
  const void* dy;
  const void* output;
  const void* inverse_weight;
  void* dweight;
  std::int64_t width;
  std::int64_t output_stride;
  std::int64_t rows;
};

// Parallel over columns, so that the order of the sum does not depend on the number of threads.
template <typename T>
WEFT_INLINE void weight_columns(const WeightArgs& args, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  const A* inverse = static_cast<const A*>(args.inverse_weight);
  A* dweight = static_cast<A*>(args.dweight);
  for (std::int64_t row = 0; row < args.rows; ++row) {
    const T* dy = static_cast<const T*>(args.dy) + row * args.width;
    const T* output = static_cast<const T*>(args.output) + row * args.output_stride;
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) {
      dweight[i] += load(dy + i) * load(output + i) * inverse[i];
    }
  }
}
WEFT_CPU_KERNEL(weight_columns, WeightArgs)

void* pointer(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr() : nullptr; }

}  // namespace

namespace detail {

void add_rms_norm_forward_cpu(const at::Tensor& x, const at::Tensor& delta,
                              const at::Tensor& weight, double eps, const at::Tensor& y,
                              const at::Tensor& rstd, const at::Tensor& normalized) {
  run_forward_rows(x.scalar_type(),
                   {x.data_ptr(), pointer(delta), weight.data_ptr(), y.data_ptr(), rstd.data_ptr(),
                    pointer(normalized), x.size(1), y.stride(0), eps},
                   x.size(0));
}

void rms_norm_backward_cpu(const at::Tensor& dy, const at::Tensor& y, const at::Tensor& normalized,
                           const at::Tensor& weight, const at::Tensor& rstd, const at::Tensor& dx,
                           const at::Tensor& dweight) {
  const at::Tensor& output = normalized.defined() ? normalized : y;
  const at::Tensor wide = weight.to(rstd.scalar_type());
  const at::Tensor inverse = normalized.defined() ? at::ones_like(wide) : wide.reciprocal();
  run_backward_rows(dy.scalar_type(),
                    {dy.data_ptr(), output.data_ptr(), weight.data_ptr(), inverse.data_ptr(),
                     rstd.data_ptr(), dx.data_ptr(), dy.size(1), output.stride(0), dx.stride(0)},
                    dy.size(0));
  if (dweight.defined()) {
    run_weight_columns(dy.scalar_type(),
                       {dy.data_ptr(), output.data_ptr(), inverse.data_ptr(), dweight.data_ptr(),
                        dy.size(1), output.stride(0), dy.size(0)},
                       dy.size(1));
  }
}

}  // namespace detail
}  // namespace weft::kernels
