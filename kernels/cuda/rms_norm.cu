// A block takes a row, which its threads keep in registers as packs of elements, so that every
// element is read and written once. Sums are fp32, over a thread, then a warp, then the block. The
// kernels are long because a row's registers live through both of their passes.
#include "kernels/cuda/rms_norm.h"

#include "kernels/cuda/fp8_rows.h"

namespace weft::kernels::cuda {
namespace {

template <typename T, int kPack, int kChunks, bool kFp8>
__global__ void __launch_bounds__(kRowThreads) forward_row(RmsNormForward args) {
  const int width = static_cast<int>(args.width);
  const std::int64_t first = block_index() * args.width;
  Pack<T, kPack> x[kChunks];
  float sum = 0;
  WEFT_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    const int i = pack_start(c, kPack);
    if (i >= width) {
      continue;
    }
    T* place = static_cast<T*>(args.x) + first + i;
    x[c] = load_pack<kPack>(place);
    if (args.delta != nullptr) {
      const auto delta = load_pack<kPack>(static_cast<const T*>(args.delta) + first + i);
      WEFT_UNROLL
      for (int k = 0; k < kPack; ++k) {
        x[c].set(k, x[c].get(k) + delta.get(k));
      }
      store_pack(place, x[c]);
    }
    WEFT_UNROLL
    for (int k = 0; k < kPack; ++k) {
      sum += x[c].get(k) * x[c].get(k);
    }
  }
  sum = block_sum(sum, shared_array<float>(0));
  const float rstd = 1.0f / sqrt_of(sum / static_cast<float>(width) + args.eps);
  if (thread_index() == 0) {
    store(args.rstd + block_index(), rstd);
  }
  [[maybe_unused]] float largest = 0;
  WEFT_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    const int i = pack_start(c, kPack);
    if (i >= width) {
      continue;
    }
    const auto weight = load_pack<kPack>(static_cast<const T*>(args.weight) + i);
    Pack<T, kPack> y;
    WEFT_UNROLL
    for (int k = 0; k < kPack; ++k) {
      const float unit = x[c].get(k) * rstd;
      y.set(k, unit * weight.get(k));
      x[c].set(k, unit);
    }
    store_pack(static_cast<T*>(args.y) + block_index() * args.y_stride + i, y);
    if (args.normalized != nullptr) {
      store_pack(static_cast<T*>(args.normalized) + first + i, x[c]);
    }
    if constexpr (kFp8) {
      x[c] = y;
      WEFT_UNROLL
      for (int k = 0; k < kPack; ++k) {
        largest = larger_magnitude(largest, y.get(k));
      }
    }
  }
  if constexpr (kFp8) {
    const float inverse =
        choose_fp8_scale(largest, args.fp8_scales + block_index(), shared_array<float>(0));
    store_fp8_packs(args.fp8_values + first, width, inverse, x);
  }
}

template <typename T, int kPack>
struct BackwardPacks {
  Pack<T, kPack> dy, output, weight;

  __device__ __forceinline__ float unit(int k, bool weighted) const {
    return weighted ? output.get(k) * (1.0f / weight.get(k)) : output.get(k);
  }
};

// Blocks take rows in turn. With a weight gradient there are few blocks, each with a sum per column
// in registers, which add_column_sums adds up afterwards.
template <typename T, int kPack, int kChunks, bool kWeightGradient>
__global__ void __launch_bounds__(kRowThreads) backward_rows(RmsNormBackward args) {
  const int width = static_cast<int>(args.width);
  const Shared<float> scratch = shared_array<float>(0);
  BackwardPacks<T, kPack> packs[kChunks];
  float dweight[kWeightGradient ? kChunks * kPack : 1] = {};
  WEFT_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    const int i = pack_start(c, kPack);
    if (i < width) {
      packs[c].weight = load_pack<kPack>(static_cast<const T*>(args.weight) + i);
    }
  }
  for (std::int64_t row = block_index(); row < args.rows; row += grid_blocks()) {
    const std::int64_t first = row * args.width;
    float sum = 0;
    WEFT_UNROLL
    for (int c = 0; c < kChunks; ++c) {
      const int i = pack_start(c, kPack);
      if (i >= width) {
        continue;
      }
      packs[c].dy = load_pack<kPack>(static_cast<const T*>(args.dy) + first + i);
      packs[c].output =
          load_pack<kPack>(static_cast<const T*>(args.output) + row * args.output_stride + i);
      WEFT_UNROLL
      for (int k = 0; k < kPack; ++k) {
        const float part = packs[c].dy.get(k) * packs[c].unit(k, args.weighted);
        sum += part * packs[c].weight.get(k);
        if constexpr (kWeightGradient) {
          dweight[c * kPack + k] += part;
        }
      }
    }
    const float mean = block_sum(sum, scratch) / static_cast<float>(width);
    const float rstd = load(args.rstd + row);
    WEFT_UNROLL
    for (int c = 0; c < kChunks; ++c) {
      const int i = pack_start(c, kPack);
      if (i >= width) {
        continue;
      }
      T* place = static_cast<T*>(args.dx) + row * args.dx_stride + i;
      auto dx = load_pack<kPack>(static_cast<const T*>(place));
      WEFT_UNROLL
      for (int k = 0; k < kPack; ++k) {
        const float dyw = packs[c].dy.get(k) * packs[c].weight.get(k);
        dx.set(k, dx.get(k) + (dyw - packs[c].unit(k, args.weighted) * mean) * rstd);
      }
      store_pack(place, dx);
    }
  }
  if constexpr (kWeightGradient) {
    WEFT_UNROLL
    for (int c = 0; c < kChunks; ++c) {
      const int i = pack_start(c, kPack);
      WEFT_UNROLL
      for (int k = 0; k < kPack; ++k) {
        if (i + k < width) {
          store(args.partials + block_index() * args.width + i + k, dweight[c * kPack + k]);
        }
      }
    }
  }
}

}  // namespace

bool rms_norm_forward(const RmsNormForward& args, Stream stream) {
  return with_element(args.element, [&](auto t) {
    using T = decltype(t);
    bool fits = false;
    with_vector<T>(
        divisors_of(args.width, args.y_stride),
        [&](auto pack) {
          fits = with_chunks(args.width, pack, [&](auto chunks, int threads) {
            if (args.rows > 0) {
              launch("rms_norm_forward",
                     args.fp8_values == nullptr ? forward_row<T, pack, chunks, false>
                                                : forward_row<T, pack, chunks, true>,
                     args.rows, threads, kSumBytes<float>, stream, args);
            }
          });
        },
        args.x, args.delta, args.weight, args.y, args.normalized, args.fp8_values);
    return fits;
  });
}

bool rms_norm_backward(const RmsNormBackward& args, Stream stream) {
  const bool fits = with_element(args.element, [&](auto t) {
    using T = decltype(t);
    bool taken = false;
    with_vector<T>(
        divisors_of(args.width, args.output_stride, args.dx_stride),
        [&](auto pack) {
          taken = with_chunks(args.width, pack, [&](auto chunks, int threads) {
            if (args.rows == 0) {
              return;
            }
            if (args.dweight == nullptr) {
              launch("rms_norm_backward", backward_rows<T, pack, chunks, false>, args.rows, threads,
                     kSumBytes<float>, stream, args);
            } else {
              launch("rms_norm_backward", backward_rows<T, pack, chunks, true>,
                     partial_sums_of(args.rows), threads, kSumBytes<float>, stream, args);
            }
          });
        },
        args.dy, args.output, args.weight, args.dx);
    return taken;
  });
  if (fits && args.dweight != nullptr && args.rows > 0) {
    add_column_sums(args.partials, partial_sums_of(args.rows), args.width, args.width, args.dweight,
                    stream);
  }
  return fits;
}

}  // namespace weft::kernels::cuda
