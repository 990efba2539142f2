#include "kernels/cpu_loops.h"
#include "kernels/cross_entropy.h"

namespace weft::kernels {
namespace {

struct Args {
  void* logits;
  const std::int64_t* targets;
  void* log_probs;
  std::int64_t width;
  double scale;
  bool gradient;
};

template <typename T>
WEFT_INLINE void softmax_rows(const Args& args, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  for (std::int64_t row = begin; row < end; ++row) {
    T* logits = static_cast<T*>(args.logits) + row * args.width;
    A largest = load(logits);
#pragma omp simd reduction(max : largest)
    for (std::int64_t i = 0; i < args.width; ++i) {
      largest = std::max(largest, load(logits + i));
    }
    // Sums of pieces bound the rounding error over a vocabulary of 150,000.
    constexpr std::int64_t kPiece = 1024;
    A sum = 0;
    for (std::int64_t piece = 0; piece < args.width; piece += kPiece) {
      A part = 0;
      const std::int64_t stop = std::min(piece + kPiece, args.width);
#pragma omp simd reduction(+ : part)
      for (std::int64_t i = piece; i < stop; ++i) {
        part += exp_of(load(logits + i) - largest);
      }
      sum += part;
    }
    const std::int64_t target = args.targets[row];
    const A log_sum = std::log(sum);
    static_cast<A*>(args.log_probs)[row] = load(logits + target) - largest - log_sum;
    if (!args.gradient) {
      continue;
    }
    const A at_target = exp_of(load(logits + target) - largest) / sum - A{1};
    const A scale = static_cast<A>(args.scale);
    const A factor = scale / sum;
#pragma omp simd
    for (std::int64_t i = 0; i < args.width; ++i) {
      store(logits + i, exp_of(load(logits + i) - largest) * factor);
    }
    store(logits + target, at_target * scale);
  }
}
WEFT_CPU_KERNEL(softmax_rows, Args)

}  // namespace

namespace detail {

void cross_entropy_cpu(const at::Tensor& logits, const at::Tensor& targets, double scale,
                       bool gradient, const at::Tensor& log_probs) {
  run_softmax_rows(logits.scalar_type(),
                   {logits.data_ptr(), targets.const_data_ptr<std::int64_t>(), log_probs.data_ptr(),
                    logits.size(1), scale, gradient},
                   logits.size(0));
}

}  // namespace detail
}  // namespace weft::kernels
