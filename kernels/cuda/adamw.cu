#include "kernels/cuda/adamw.h"

#include "kernels/cuda/flat.h"

namespace weft::kernels::cuda {
namespace {

// What the gradient is multiplied with; NaN when the step must not be taken.
__device__ __forceinline__ float scale_of(const AdamWStep& args) {
  if (args.squared_norm == nullptr) {
    return args.gradient_scale;
  }
  const double squared = load(args.squared_norm);
  const double rest = squared - squared;  // not 0 for infinity and NaN
  if (rest != 0.0) {
    return float_of_bf16(0x7fc0u);
  }
  if (args.max_norm <= 0.0) {
    return args.gradient_scale;
  }
  // As torch.nn.utils.clip_grad_norm_ has it.
  const double clip = args.max_norm / (sqrt_of(squared) + 1e-6);
  return static_cast<float>(args.gradient_scale * (clip < 1.0 ? clip : 1.0));
}

template <typename T, int kPack>
__device__ __forceinline__ void step_elements(const AdamWStep& args, std::int64_t first,
                                              float scale) {
  T* parameters_place = static_cast<T*>(args.parameters) + first;
  T* moment1_place = static_cast<T*>(args.moment1) + first;
  T* moment2_place = static_cast<T*>(args.moment2) + first;
  const auto gradient = load_pack<kPack>(static_cast<const T*>(args.gradient) + first);
  auto parameters = load_pack<kPack>(static_cast<const T*>(parameters_place));
  auto moment1 = load_pack<kPack>(static_cast<const T*>(moment1_place));
  auto moment2 = load_pack<kPack>(static_cast<const T*>(moment2_place));
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    const float g = gradient.get(k) * scale;
    const float m = moment1.get(k) * args.beta1 + g * args.rest1;
    const float v = moment2.get(k) * args.beta2 + g * g * args.rest2;
    moment1.set(k, m);
    moment2.set(k, v);
    parameters.set(k,
                   parameters.get(k) * args.decay -
                       args.step_size * m / (sqrt_of(v) * args.denominator_scale + args.epsilon));
  }
  store_pack(moment1_place, moment1);
  store_pack(moment2_place, moment2);
  store_pack(parameters_place, parameters);
}

template <typename T, int kPack>
__global__ void __launch_bounds__(kFlatThreads) step(AdamWStep args) {
  const float scale = scale_of(args);
  if (args.squared_norm != nullptr && scale != scale) {
    return;
  }
  for_my_elements<kPack>(args.count, [&](std::int64_t first, auto pack) {
    step_elements<T, pack>(args, first, scale);
  });
}

template <typename T, int kPack>
__global__ void __launch_bounds__(kFlatThreads) square_partials(SumOfSquares args) {
  const std::int64_t packs = args.count / kPack;
  const std::int64_t parts = packs + args.count % kPack;
  const T* values = static_cast<const T*>(args.values);
  double sum = 0;
  for (std::int64_t part = block_index() * kFlatThreads + thread_index(); part < parts;
       part += grid_blocks() * kFlatThreads) {
    if (part < packs) {
      const auto pack = load_pack<kPack>(values + part * kPack);
      WEFT_UNROLL
      for (int k = 0; k < kPack; ++k) {
        sum += static_cast<double>(pack.get(k)) * static_cast<double>(pack.get(k));
      }
    } else {
      const auto value = static_cast<double>(to_float(load(values + packs * kPack + part - packs)));
      sum += value * value;
    }
  }
  sum = block_sum(sum, shared_array<double>(0));
  if (thread_index() == 0) {
    store(args.partials + block_index(), sum);
  }
}

__global__ void __launch_bounds__(kFlatThreads) add_partials(SumOfSquares args, int partials) {
  const bool mine = thread_index() < partials;
  const double sum =
      block_sum(mine ? load(args.partials + thread_index()) : 0.0, shared_array<double>(0));
  if (thread_index() == 0) {
    store(args.result, sum);
  }
}

}  // namespace

void adamw_step(const AdamWStep& args, Stream stream) {
  if (args.count == 0) {
    return;
  }
  with_element(args.element, [&](auto t) {
    using T = decltype(t);
    const auto run = [&](auto pack) {
      launch("adamw_step", step<T, pack>, flat_blocks(args.count, pack), kFlatThreads, 0, stream,
             args);
    };
    with_vector<T>(0, run, args.parameters, args.gradient, args.moment1, args.moment2);
  });
}

void sum_of_squares(const SumOfSquares& args, Stream stream) {
  const std::int64_t blocks = square_sums_of(args.count);
  static_assert(kFlatThreads >= 256, "a thread adds up each partial sum");
  with_element(args.element, [&](auto t) {
    using T = decltype(t);
    const auto run = [&](auto pack) {
      launch("sum_of_squares", square_partials<T, pack>, blocks, kFlatThreads, kSumBytes<double>,
             stream, args);
    };
    with_vector<T>(0, run, args.values);
  });
  launch("sum_of_squares", add_partials, 1, kFlatThreads, kSumBytes<double>, stream, args,
         static_cast<int>(blocks));
}

}  // namespace weft::kernels::cuda
