#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>

#include <array>
#include <vector>

#include "kernels/cpu_loops.h"
#include "kernels/qk_norm_rope.h"

namespace weft::kernels {
namespace {

constexpr std::int64_t kMaxHeadDim = 512;

struct ForwardArgs {
  void* qkv;
  const void* q_weight;
  const void* k_weight;
  const void* cos;
  const void* sin;
  const int* positions;
  void* rstd;
  void* normalized;
  HeadLayout layout;
  std::int64_t qkv_stride;
  double eps;
};

template <typename T>
WEFT_INLINE void forward_head(const ForwardArgs& args, T* head, const T* weight,
                              const Accumulator<T>* cos, const Accumulator<T>* sin,
                              Accumulator<T>* rstd, T* normalized) {
  using A = Accumulator<T>;
  const std::int64_t width = args.layout.head_dim;
  const std::int64_t half = width / 2;
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < width; ++i) {
    sum += load(head + i) * load(head + i);
  }
  const A scale = A{1} / std::sqrt(sum / static_cast<A>(width) + static_cast<A>(args.eps));
  *rstd = scale;
  if (normalized != nullptr) {
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      store(normalized + i, load(head + i) * scale);
    }
  }
#pragma omp simd
  for (std::int64_t i = 0; i < half; ++i) {
    const A first = load(head + i) * scale * load(weight + i);
    const A second = load(head + half + i) * scale * load(weight + half + i);
    store(head + i, first * cos[i] - second * sin[i]);
    store(head + half + i, second * cos[i] + first * sin[i]);
  }
}

template <typename T>
WEFT_INLINE void forward_rows(const ForwardArgs& args, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  const HeadLayout& layout = args.layout;
  const std::int64_t half = layout.head_dim / 2;
  for (std::int64_t row = begin; row < end; ++row) {
    const A* cos = static_cast<const A*>(args.cos) + args.positions[row] * half;
    const A* sin = static_cast<const A*>(args.sin) + args.positions[row] * half;
    for (std::int64_t h = 0; h < layout.rotated(); ++h) {
      const std::int64_t index = row * layout.rotated() + h;
      T* normalized = args.normalized == nullptr
                          ? nullptr
                          : static_cast<T*>(args.normalized) + index * layout.head_dim;
      const void* weight = h < layout.heads_q ? args.q_weight : args.k_weight;
      forward_head<T>(args, static_cast<T*>(args.qkv) + row * args.qkv_stride + h * layout.head_dim,
                      static_cast<const T*>(weight), cos, sin, static_cast<A*>(args.rstd) + index,
                      normalized);
    }
  }
}
WEFT_CPU_KERNEL(forward_rows, ForwardArgs)

struct BackwardArgs {
  void* dqkv;
  const void* qkv;
  const void* normalized;
  const void* q_weight;
  const void* k_weight;
  const void* q_inverse;
  const void* k_inverse;
  const void* cos;
  const void* sin;
  const int* positions;
  const void* rstd;
  void* dq_partial;  // [tokens, head_dim] sums over the heads of one token, or null
  void* dk_partial;
  HeadLayout layout;
  std::int64_t dqkv_stride;
  std::int64_t qkv_stride;
};

// One head: rotates dy and the output back, then the gradient of RMSNorm. `partial` receives += dy
// * norm(x).
template <typename T>
WEFT_INLINE void backward_head(const BackwardArgs& args, T* dy, const T* output, const T* unit_in,
                               const T* weight, const Accumulator<T>* inverse,
                               const Accumulator<T>* cos, const Accumulator<T>* sin,
                               Accumulator<T> rstd, Accumulator<T>* partial) {
  using A = Accumulator<T>;
  const std::int64_t width = args.layout.head_dim;
  const std::int64_t half = width / 2;
  std::array<A, kMaxHeadDim> unit;
  std::array<A, kMaxHeadDim> grad;
#pragma omp simd
  for (std::int64_t i = 0; i < half; ++i) {
    const A g1 = load(dy + i);
    const A g2 = load(dy + half + i);
    const auto at1 = static_cast<std::size_t>(i);
    const auto at2 = static_cast<std::size_t>(half + i);
    grad[at1] = g1 * cos[i] + g2 * sin[i];
    grad[at2] = g2 * cos[i] - g1 * sin[i];
    if (unit_in == nullptr) {
      const A o1 = load(output + i);
      const A o2 = load(output + half + i);
      // YaRN's tables hold a factor, so turning back is not yet undoing.
      const A undo = A{1} / (cos[i] * cos[i] + sin[i] * sin[i]);
      unit[at1] = (o1 * cos[i] + o2 * sin[i]) * undo * inverse[i];
      unit[at2] = (o2 * cos[i] - o1 * sin[i]) * undo * inverse[half + i];
    } else {
      unit[at1] = load(unit_in + i);
      unit[at2] = load(unit_in + half + i);
    }
  }
  A sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < width; ++i) {
    const auto at = static_cast<std::size_t>(i);
    sum += grad[at] * load(weight + i) * unit[at];
  }
  const A mean = sum / static_cast<A>(width);
#pragma omp simd
  for (std::int64_t i = 0; i < width; ++i) {
    const auto at = static_cast<std::size_t>(i);
    store(dy + i, (grad[at] * load(weight + i) - unit[at] * mean) * rstd);
  }
  if (partial != nullptr) {
#pragma omp simd
    for (std::int64_t i = 0; i < width; ++i) {
      const auto at = static_cast<std::size_t>(i);
      partial[i] += grad[at] * unit[at];
    }
  }
}

template <typename T>
WEFT_INLINE void backward_rows(const BackwardArgs& args, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  const HeadLayout& layout = args.layout;
  const std::int64_t width = layout.head_dim;
  for (std::int64_t row = begin; row < end; ++row) {
    const A* cos = static_cast<const A*>(args.cos) + args.positions[row] * (width / 2);
    const A* sin = static_cast<const A*>(args.sin) + args.positions[row] * (width / 2);
    for (std::int64_t h = 0; h < layout.rotated(); ++h) {
      const bool is_query = h < layout.heads_q;
      const std::int64_t index = row * layout.rotated() + h;
      const T* output = args.qkv == nullptr
                            ? nullptr
                            : static_cast<const T*>(args.qkv) + row * args.qkv_stride + h * width;
      const T* unit = args.normalized == nullptr
                          ? nullptr
                          : static_cast<const T*>(args.normalized) + index * width;
      A* partial = static_cast<A*>(is_query ? args.dq_partial : args.dk_partial);
      backward_head<T>(args, static_cast<T*>(args.dqkv) + row * args.dqkv_stride + h * width,
                       output, unit,
                       static_cast<const T*>(is_query ? args.q_weight : args.k_weight),
                       static_cast<const A*>(is_query ? args.q_inverse : args.k_inverse), cos, sin,
                       static_cast<const A*>(args.rstd)[index],
                       partial == nullptr ? nullptr : partial + row * width);
    }
  }
}
WEFT_CPU_KERNEL(backward_rows, BackwardArgs)

void* pointer(const at::Tensor& tensor) { return tensor.defined() ? tensor.data_ptr() : nullptr; }

at::Tensor inverse_of(const at::Tensor& weight, bool needed, at::ScalarType wide) {
  const at::Tensor w = weight.to(wide);
  return needed ? w.reciprocal() : at::ones_like(w);
}

}  // namespace

namespace detail {

void qk_norm_rope_forward_cpu(const at::Tensor& qkv, const HeadLayout& layout,
                              const at::Tensor& q_weight, const at::Tensor& k_weight, double eps,
                              const at::Tensor& cos, const at::Tensor& sin,
                              const at::Tensor& positions, const at::Tensor& rstd,
                              const at::Tensor& normalized) {
  run_forward_rows(qkv.scalar_type(),
                   {qkv.data_ptr(), q_weight.data_ptr(), k_weight.data_ptr(), cos.data_ptr(),
                    sin.data_ptr(), positions.const_data_ptr<int>(), rstd.data_ptr(),
                    pointer(normalized), layout, qkv.stride(0), eps},
                   qkv.size(0));
}

void qk_norm_rope_backward_cpu(const at::Tensor& dqkv, const at::Tensor& qkv,
                               const at::Tensor& normalized, const HeadLayout& layout,
                               const at::Tensor& q_weight, const at::Tensor& k_weight,
                               const at::Tensor& cos, const at::Tensor& sin,
                               const at::Tensor& positions, const at::Tensor& rstd,
                               const at::Tensor& dq_weight, const at::Tensor& dk_weight) {
  if (layout.head_dim > kMaxHeadDim) {
    fail_config("head_dim is {}, this program takes at most {}", layout.head_dim, kMaxHeadDim);
  }
  const at::ScalarType wide = rstd.scalar_type();
  const bool divide = !normalized.defined();
  const at::Tensor q_inverse = inverse_of(q_weight, divide, wide);
  const at::Tensor k_inverse = inverse_of(k_weight, divide, wide);
  const auto partial = [&](const at::Tensor& dweight) {
    return dweight.defined() ? at::zeros({dqkv.size(0), layout.head_dim}, dweight.options())
                             : at::Tensor();
  };
  const at::Tensor dq = partial(dq_weight);
  const at::Tensor dk = partial(dk_weight);
  run_backward_rows(
      dqkv.scalar_type(),
      {dqkv.data_ptr(), divide ? qkv.data_ptr() : nullptr, pointer(normalized), q_weight.data_ptr(),
       k_weight.data_ptr(), q_inverse.data_ptr(), k_inverse.data_ptr(), cos.data_ptr(),
       sin.data_ptr(), positions.const_data_ptr<int>(), rstd.data_ptr(), pointer(dq), pointer(dk),
       layout, dqkv.stride(0), divide ? qkv.stride(0) : 0},
      dqkv.size(0));
  if (dq_weight.defined()) {
    dq_weight.add_(dq.sum(0));
  }
  if (dk_weight.defined()) {
    dk_weight.add_(dk.sum(0));
  }
}

}  // namespace detail
}  // namespace weft::kernels
