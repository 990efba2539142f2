#include <c10/util/Float8_e4m3fn.h>

#include <limits>

#include "kernels/cpu_loops.h"
#include "kernels/fp8.h"
#include "kernels/fp8_scale.h"

namespace weft::kernels {
namespace {

struct Args {
  const void* x;
  const float* factors;  // or null
  c10::Float8_e4m3fn* values;
  float* scales;
  std::int64_t width;
};

template <typename T>
WEFT_INLINE void quantize_pieces(const Args& args, std::int64_t begin, std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(args.x) + row * args.width;
    const auto scaled = [&](std::int64_t i) {
      const auto value = static_cast<float>(load(x + i));
      return args.factors == nullptr ? value : value * args.factors[i];
    };
    float largest = 0;
    for (std::int64_t i = 0; i < args.width; ++i) {
      const float size = std::fabs(scaled(i));
      largest = size > largest ? size : largest;  // a NaN does not count
    }
    const std::uint32_t bits = fp8_scale_bits(std::bit_cast<std::uint32_t>(largest));
    args.scales[row] = std::bit_cast<float>(bits);
    const auto inverse = std::bit_cast<float>(fp8_inverse_bits(bits));
    for (std::int64_t i = 0; i < args.width; ++i) {
      const float value = scaled(i) * inverse;
      args.values[row * args.width + i] =
          std::isfinite(value) ? value : std::numeric_limits<float>::quiet_NaN();
    }
  }
}
WEFT_CPU_KERNEL(quantize_pieces, Args)

}  // namespace

namespace detail {

void quantize_rows_cpu(const at::Tensor& x, const at::Tensor& factors, const Fp8Rows& out) {
  run_quantize_pieces(
      x.scalar_type(),
      {x.const_data_ptr(), factors.defined() ? factors.const_data_ptr<float>() : nullptr,
       out.values.mutable_data_ptr<c10::Float8_e4m3fn>(), out.scales.mutable_data_ptr<float>(),
       x.size(1)},
      x.size(0));
}

}  // namespace detail
}  // namespace weft::kernels
