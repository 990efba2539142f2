#include "kernels/dropout.h"

#include <ATen/ops/empty.h>

#include "base/random.h"
#include "kernels/cpu_loops.h"
#include "kernels/tensor_checks.h"

namespace weft::kernels {
namespace {

// Keep factors (0 or 1 / (1 - p)) as fp32, four to a counter.
at::Tensor keep_factors(at::IntArrayRef sizes, double p, std::uint64_t seed, std::uint64_t stream) {
  at::Tensor factors = at::empty(sizes, at::TensorOptions(at::kFloat));
  float* out = factors.mutable_data_ptr<float>();
  const std::int64_t count = factors.numel();
  const auto threshold = static_cast<std::uint64_t>(p * 4294967296.0);
  const auto kept = static_cast<float>(1.0 / (1.0 - p));
  at::parallel_for(0, (count + 3) / 4, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t quad = begin; quad < end; ++quad) {
      const auto words = philox4x32(seed, static_cast<std::uint64_t>(quad), stream);
      const std::int64_t first = quad * 4;
      for (std::int64_t i = first; i < std::min(first + 4, count); ++i) {
        out[i] = words[static_cast<std::size_t>(i - first)] < threshold ? 0.0f : kept;
      }
    }
  });
  return factors;
}

}  // namespace

void dropout(const at::Tensor& x, double p, std::uint64_t seed, std::uint64_t stream,
             const at::Tensor& out, bool accumulate) {
  check_tensor(x, x.sizes(), x.scalar_type(), "dropout x");
  check_tensor(out, x.sizes(), x.scalar_type(), "dropout out");
  if (x.is_meta()) {
    return;
  }
  const at::Tensor kept =
      x *
      keep_factors(x.sizes(), p, seed, stream).to(x.device()).to(statistics_dtype(x.scalar_type()));
  accumulate ? out.add_(kept) : out.copy_(kept);
}

}  // namespace weft::kernels
