// A thread takes one pack of gate, the pack of up beside it and that of the output: every element
// is read and written once. Where the output is quantised as well, a block takes a row and keeps
// the output in registers until its largest element is known.
#include "kernels/cuda/swiglu.h"

#include "kernels/cuda/fp8_rows.h"

namespace weft::kernels::cuda {
namespace {

// Divides the packs of every Qwen3 feed-forward width but one without a rest.
constexpr int kThreads = 128;

struct Place {
  std::int64_t row;
  std::int64_t column;
};

template <int kPack>
std::int64_t blocks_per_row(std::int64_t width) {
  return (width / kPack + kThreads - 1) / kThreads;
}

template <int kPack>
__device__ __forceinline__ Place my_place(int per_row) {
  const auto block = static_cast<unsigned>(block_index());
  const unsigned row = block / static_cast<unsigned>(per_row);
  const unsigned part = block - row * static_cast<unsigned>(per_row);
  return {row, (std::int64_t{part} * kThreads + thread_index()) * kPack};
}

// silu(gate) * up of the packs at `gate_place` and `width` elements on.
template <typename T, int kPack>
__device__ __forceinline__ Pack<T, kPack> gated(const T* gate_place, std::int64_t width) {
  const auto gate = load_pack<kPack>(gate_place);
  const auto up = load_pack<kPack>(gate_place + width);
  Pack<T, kPack> out;
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    const float g = gate.get(k);
    out.set(k, g / (1.0f + exp_of(-g)) * up.get(k));
  }
  return out;
}

template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads) forward(SwiGluForward args, int per_row) {
  const auto [row, column] = my_place<kPack>(per_row);
  if (column >= args.width) {
    return;
  }
  const T* gate_row = static_cast<const T*>(args.gate_up) + row * args.gate_up_stride;
  store_pack(static_cast<T*>(args.out) + row * args.out_stride + column,
             gated<T, kPack>(gate_row + column, args.width));
}

template <typename T, int kPack, int kChunks>
__global__ void __launch_bounds__(kRowThreads) forward_fp8(SwiGluForwardFp8 args) {
  const int width = static_cast<int>(args.forward.width);
  const std::int64_t row = block_index();
  const T* gate_row =
      static_cast<const T*>(args.forward.gate_up) + row * args.forward.gate_up_stride;
  T* out_row = static_cast<T*>(args.forward.out) + row * args.forward.out_stride;
  Pack<T, kPack> out[kChunks];
  float largest = 0;
  WEFT_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    const int i = pack_start(c, kPack);
    if (i >= width) {
      continue;
    }
    out[c] = gated<T, kPack>(gate_row + i, width);
    store_pack(out_row + i, out[c]);
    WEFT_UNROLL
    for (int k = 0; k < kPack; ++k) {
      largest = larger_magnitude(largest, out[c].get(k));
    }
  }
  const float inverse = choose_fp8_scale(largest, args.fp8_scales + row, shared_array<float>(0));
  store_fp8_packs(args.fp8_values + row * width, width, inverse, out);
}

// Of one pack; gate and up become their gradients, the output's gradient becomes the output.
template <typename T, int kPack>
__device__ __forceinline__ void turn(Pack<T, kPack>& gate, Pack<T, kPack>& up,
                                     Pack<T, kPack>& out) {
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    const float g = gate.get(k);
    const float u = up.get(k);
    const float d = out.get(k);
    const float sigmoid = 1.0f / (1.0f + exp_of(-g));
    const float silu = g * sigmoid;
    out.set(k, silu * u);
    gate.set(k, d * u * (sigmoid + silu * (1.0f - sigmoid)));
    up.set(k, d * silu);
  }
}

template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads) backward(SwiGluBackward args, int per_row) {
  const auto [row, column] = my_place<kPack>(per_row);
  if (column >= args.width) {
    return;
  }
  T* gate_place = static_cast<T*>(args.gate_up) + row * args.gate_up_stride + column;
  T* up_place = gate_place + args.width;
  T* out_place = static_cast<T*>(args.dout) + row * args.dout_stride + column;
  auto gate = load_pack<kPack>(static_cast<const T*>(gate_place));
  auto up = load_pack<kPack>(static_cast<const T*>(up_place));
  auto out = load_pack<kPack>(static_cast<const T*>(out_place));
  turn(gate, up, out);
  store_pack(gate_place, gate);
  store_pack(up_place, up);
  store_pack(out_place, out);
}

// A block takes a row and keeps both gradients in registers until the largest element is known:
// twice what the forward pass keeps, so that rows can be half as wide.
template <typename T, int kPack, int kChunks>
__global__ void __launch_bounds__(kRowThreads) backward_fp8(SwiGluBackwardFp8 args) {
  const int width = static_cast<int>(args.backward.width);
  const std::int64_t row = block_index();
  T* gate_row = static_cast<T*>(args.backward.gate_up) + row * args.backward.gate_up_stride;
  T* out_row = static_cast<T*>(args.backward.dout) + row * args.backward.dout_stride;
  KeptPack<T, kPack> dgate[kChunks];
  KeptPack<T, kPack> dup[kChunks];
  float largest = 0;
  WEFT_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    const int i = pack_start(c, kPack);
    if (i >= width) {
      continue;
    }
    auto gate = load_pack<kPack>(static_cast<const T*>(gate_row + i));
    auto up = load_pack<kPack>(static_cast<const T*>(gate_row + width + i));
    auto out = load_pack<kPack>(static_cast<const T*>(out_row + i));
    turn(gate, up, out);
    store_pack(gate_row + i, gate);
    store_pack(gate_row + width + i, up);
    store_pack(out_row + i, out);
    dgate[c] = KeptPack<T, kPack>::of(gate);
    dup[c] = KeptPack<T, kPack>::of(up);
    largest = larger_of_pack(largest, dgate[c], args.factors + i);
    largest = larger_of_pack(largest, dup[c], args.factors + width + i);
  }
  const float inverse = choose_fp8_scale(largest, args.fp8_scales + row, shared_array<float>(0));
  std::uint8_t* values = args.fp8_values + row * 2 * width;
  WEFT_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    const int i = pack_start(c, kPack);
    if (i < width) {
      store_product(values + i, inverse, dgate[c], args.factors + i);
      store_product(values + width + i, inverse, dup[c], args.factors + width + i);
    }
  }
}

// Launches kernel_of(element, pack) on as many blocks as the rows of `args` take.
template <typename Args, typename KernelOf>
void launch_on_rows(const char* name, const Args& args, const void* rows, std::int64_t stride,
                    Stream stream, KernelOf&& kernel_of) {
  if (args.rows == 0 || args.width == 0) {
    return;
  }
  with_element(args.element, [&](auto t) {
    const auto run = [&](auto pack) {
      const std::int64_t per_row = blocks_per_row<pack>(args.width);
      launch(name, kernel_of(t, pack), args.rows * per_row, kThreads, 0, stream, args,
             static_cast<int>(per_row));
    };
    with_vector<decltype(t)>(divisors_of(args.width, args.gate_up_stride, stride), run,
                             args.gate_up, rows);
  });
}

// Launches kernel_of(element, pack, chunks) on a block for each row, which holds it in up to kMost
// packs a thread. Returns false, without a launch, when a row is too wide.
template <int kMost, typename Fp8Args, typename Args, typename KernelOf, typename... Pointers>
bool launch_on_whole_rows(const char* name, const Fp8Args& args, const Args& plain,
                          const void* rows, std::int64_t stride, Stream stream,
                          KernelOf&& kernel_of, Pointers... pointers) {
  return with_element(plain.element, [&](auto t) {
    bool taken = false;
    const auto run = [&](auto pack) {
      taken = with_many_chunks<kMost>(plain.width, pack, [&](auto chunks, int threads) {
        if (plain.rows > 0 && plain.width > 0) {
          launch(name, kernel_of(t, pack, chunks), plain.rows, threads, kSumBytes<float>, stream,
                 args);
        }
      });
    };
    with_vector<decltype(t)>(divisors_of(plain.width, plain.gate_up_stride, stride), run,
                             plain.gate_up, rows, args.fp8_values, pointers...);
    return taken;
  });
}

}  // namespace

void swiglu_forward(const SwiGluForward& args, Stream stream) {
  launch_on_rows("swiglu_forward", args, args.out, args.out_stride, stream,
                 [](auto t, auto pack) { return forward<decltype(t), pack>; });
}

bool swiglu_forward_fp8(const SwiGluForwardFp8& args, Stream stream) {
  return launch_on_whole_rows<8>(
      "swiglu_forward_fp8", args, args.forward, args.forward.out, args.forward.out_stride, stream,
      [](auto t, auto pack, auto chunks) { return forward_fp8<decltype(t), pack, chunks>; });
}

void swiglu_backward(const SwiGluBackward& args, Stream stream) {
  launch_on_rows("swiglu_backward", args, args.dout, args.dout_stride, stream,
                 [](auto t, auto pack) { return backward<decltype(t), pack>; });
}

bool swiglu_backward_fp8(const SwiGluBackwardFp8& args, Stream stream) {
  return launch_on_whole_rows<4>(
      "swiglu_backward_fp8", args, args.backward, args.backward.dout, args.backward.dout_stride,
      stream,
      [](auto t, auto pack, auto chunks) { return backward_fp8<decltype(t), pack, chunks>; },
      args.factors);
}

}  // namespace weft::kernels::cuda
