#include "kernels/dropout.h"

#include <ATen/ops/empty.h>

#include "base/random.h"
#include "kernels/cpu_loops.h"
#include "kernels/cuda/dropout.h"
#include "kernels/device_dispatch.h"
#include "kernels/tensor_checks.h"
#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

// Random words below this, of 2^32, drop their element.
std::uint64_t threshold_of(double p) { return static_cast<std::uint64_t>(p * 4294967296.0); }

float kept_of(double p) { return static_cast<float>(1.0 / (1.0 - p)); }

// Whether the CUDA kernel took the elements.
bool drop_on_device(const at::Tensor& x, double p, std::uint64_t seed, std::uint64_t stream,
                    const at::Tensor& out, bool accumulate) {
  if constexpr (kHasDeviceKernels) {
    if (runs_on_device_kernels(x)) {
      const bool reads_out = accumulate || out.data_ptr() == x.data_ptr();
      cuda::dropout({.element = element_of(x),
                     .x = device_in(x, "x"),
                     .out = reads_out ? device_inout(out, "out") : device_out(out, "out"),
                     .count = x.numel(),
                     .seed = seed,
                     .stream = stream,
                     .threshold = threshold_of(p),
                     .kept = kept_of(p),
                     .accumulate = accumulate},
                    stream_of(x));
      return true;
    }
  }
  return false;
}

// Keep factors (0 or 1 / (1 - p)) as fp32, four to a counter.
at::Tensor keep_factors(at::IntArrayRef sizes, double p, std::uint64_t seed, std::uint64_t stream) {
  at::Tensor factors = at::empty(sizes, at::TensorOptions(at::kFloat));
  float* out = factors.mutable_data_ptr<float>();
  const std::int64_t count = factors.numel();
  const std::uint64_t threshold = threshold_of(p);
  const float kept = kept_of(p);
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
  log_traffic("dropout", {x, accumulate ? out : at::Tensor()}, {out});
  if (x.is_meta() || drop_on_device(x, p, seed, stream, out, accumulate)) {
    return;
  }
  const at::Tensor kept =
      x *
      keep_factors(x.sizes(), p, seed, stream).to(x.device()).to(statistics_dtype(x.scalar_type()));
  accumulate ? out.add_(kept) : out.copy_(kept);
}

}  // namespace weft::kernels
