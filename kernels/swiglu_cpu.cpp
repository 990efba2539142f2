#include "kernels/cpu_loops.h"
#include "kernels/swiglu.h"

namespace weft::kernels {
namespace {

struct Args {
  void* gate_up;
  void* out;
  std::int64_t width;
  std::int64_t gate_up_stride;
  std::int64_t out_stride;
};

template <typename T>
WEFT_INLINE void forward_rows(const Args& args, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  for (std::int64_t row = begin; row < end; ++row) {
    const T* gate = static_cast<const T*>(args.gate_up) + row * args.gate_up_stride;
    const T* up = gate + args.width;
    T* out = static_cast<T*>(args.out) + row * args.out_stride;
#pragma omp simd
    for (std::int64_t i = 0; i < args.width; ++i) {
      const A g = load(gate + i);
      store(out + i, g / (A{1} + exp_of(-g)) * load(up + i));
    }
  }
}
WEFT_CPU_KERNEL(forward_rows, Args)

template <typename T>
WEFT_INLINE void backward_rows(const Args& args, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  for (std::int64_t row = begin; row < end; ++row) {
    T* gate = static_cast<T*>(args.gate_up) + row * args.gate_up_stride;
    T* up = gate + args.width;
    T* out = static_cast<T*>(args.out) + row * args.out_stride;
#pragma omp simd
    for (std::int64_t i = 0; i < args.width; ++i) {
      const A g = load(gate + i);
      const A u = load(up + i);
      const A d = load(out + i);
      const A sigmoid = A{1} / (A{1} + exp_of(-g));
      const A silu = g * sigmoid;
      store(out + i, silu * u);
      store(gate + i, d * u * (sigmoid + silu * (A{1} - sigmoid)));
      store(up + i, d * silu);
    }
  }
}
WEFT_CPU_KERNEL(backward_rows, Args)

}  // namespace

namespace detail {

void swiglu_forward_cpu(const at::Tensor& gate_up, const at::Tensor& out) {
  run_forward_rows(
      out.scalar_type(),
      {gate_up.data_ptr(), out.data_ptr(), out.size(1), gate_up.stride(0), out.stride(0)},
      out.size(0));
}

void swiglu_backward_cpu(const at::Tensor& gate_up, const at::Tensor& dout) {
  run_backward_rows(
      dout.scalar_type(),
      {gate_up.data_ptr(), dout.data_ptr(), dout.size(1), gate_up.stride(0), dout.stride(0)},
      dout.size(0));
}

}  // namespace detail
}  // namespace weft::kernels
