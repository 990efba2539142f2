#include <vector>

#include "kernels/adamw.h"
#include "kernels/cpu_loops.h"

namespace weft::kernels {
namespace {

constexpr std::int64_t kPiece = 16384;

struct StepArgs {
  void* parameters;
  const void* gradient;
  void* moment1;
  void* moment2;
  detail::AdamWFactors factors;
  std::int64_t count;
};

template <typename T>
WEFT_INLINE void step_pieces(const StepArgs& args, std::int64_t begin, std::int64_t end) {
  using A = Accumulator<T>;
  const auto decay = static_cast<A>(args.factors.decay);
  const auto beta1 = static_cast<A>(args.factors.beta1);
  const auto beta2 = static_cast<A>(args.factors.beta2);
  const auto rest1 = static_cast<A>(1.0 - args.factors.beta1);
  const auto rest2 = static_cast<A>(1.0 - args.factors.beta2);
  const auto step_size = static_cast<A>(args.factors.step_size);
  const auto denominator = static_cast<A>(args.factors.denominator_scale);
  const auto epsilon = static_cast<A>(args.factors.epsilon);
  const auto scale = static_cast<A>(args.factors.gradient_scale);
  T* parameters = static_cast<T*>(args.parameters);
  const T* gradient = static_cast<const T*>(args.gradient);
  T* moment1 = static_cast<T*>(args.moment1);
  T* moment2 = static_cast<T*>(args.moment2);
  const std::int64_t stop = std::min(end * kPiece, args.count);
#pragma omp simd
  for (std::int64_t i = begin * kPiece; i < stop; ++i) {
    const A g = load(gradient + i) * scale;
    const A m = load(moment1 + i) * beta1 + g * rest1;
    const A v = load(moment2 + i) * beta2 + g * g * rest2;
    store(moment1 + i, m);
    store(moment2 + i, v);
    store(parameters + i,
          load(parameters + i) * decay - step_size * m / (std::sqrt(v) * denominator + epsilon));
  }
}
WEFT_CPU_KERNEL(step_pieces, StepArgs)

struct SumArgs {
  const void* values;
  double* pieces;
  std::int64_t count;
};

template <typename T>
WEFT_INLINE void square_pieces(const SumArgs& args, std::int64_t begin, std::int64_t end) {
  const T* values = static_cast<const T*>(args.values);
  for (std::int64_t piece = begin; piece < end; ++piece) {
    const std::int64_t stop = std::min((piece + 1) * kPiece, args.count);
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = piece * kPiece; i < stop; ++i) {
      const auto value = static_cast<double>(load(values + i));
      sum += value * value;
    }
    args.pieces[piece] = sum;
  }
}
WEFT_CPU_KERNEL(square_pieces, SumArgs)

std::int64_t pieces_of(std::int64_t count) { return (count + kPiece - 1) / kPiece; }

}  // namespace

namespace detail {

void adamw_step_cpu(const at::Tensor& parameters, const at::Tensor& gradient,
                    const at::Tensor& moment1, const at::Tensor& moment2,
                    const AdamWFactors& factors) {
  run_step_pieces(parameters.scalar_type(),
                  {parameters.data_ptr(), gradient.data_ptr(), moment1.data_ptr(),
                   moment2.data_ptr(), factors, parameters.numel()},
                  pieces_of(parameters.numel()));
}

double sum_of_squares_cpu(const at::Tensor& flat) {
  std::vector<double> pieces(static_cast<std::size_t>(pieces_of(flat.numel())));
  run_square_pieces(flat.scalar_type(), {flat.data_ptr(), pieces.data(), flat.numel()},
                    pieces_of(flat.numel()));
  double sum = 0;
  for (const double piece : pieces) {
    sum += piece;
  }
  return sum;
}

}  // namespace detail
}  // namespace weft::kernels
