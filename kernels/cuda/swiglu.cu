// A thread takes one pack of gate, the pack of up beside it and that of the output: every element
// is read and written once.
#include "kernels/cuda/swiglu.h"

#include "kernels/cuda/rows.h"

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

template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads) forward(SwiGluForward args, int per_row) {
  const auto [row, column] = my_place<kPack>(per_row);
  if (column >= args.width) {
    return;
  }
  const T* gate_row = static_cast<const T*>(args.gate_up) + 2 * row * args.width;
  const auto gate = load_pack<kPack>(gate_row + column);
  const auto up = load_pack<kPack>(gate_row + args.width + column);
  Pack<T, kPack> out;
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    const float g = gate.get(k);
    out.set(k, g / (1.0f + exp_of(-g)) * up.get(k));
  }
  store_pack(static_cast<T*>(args.out) + row * args.width + column, out);
}

template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads) backward(SwiGluBackward args, int per_row) {
  const auto [row, column] = my_place<kPack>(per_row);
  if (column >= args.width) {
    return;
  }
  T* gate_place = static_cast<T*>(args.gate_up) + 2 * row * args.width + column;
  T* up_place = gate_place + args.width;
  T* out_place = static_cast<T*>(args.dout) + row * args.width + column;
  auto gate = load_pack<kPack>(static_cast<const T*>(gate_place));
  auto up = load_pack<kPack>(static_cast<const T*>(up_place));
  auto out = load_pack<kPack>(static_cast<const T*>(out_place));
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
  store_pack(gate_place, gate);
  store_pack(up_place, up);
  store_pack(out_place, out);
}

// Launches kernel_of(element, pack) on as many blocks as the rows of `args` take.
template <typename Args, typename KernelOf>
void launch_on_rows(const char* name, const Args& args, const void* gate_up, const void* rows,
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
    with_vector<decltype(t)>(args.width, run, gate_up, rows);
  });
}

}  // namespace

void swiglu_forward(const SwiGluForward& args, Stream stream) {
  launch_on_rows("swiglu_forward", args, args.gate_up, args.out, stream,
                 [](auto t, auto pack) { return forward<decltype(t), pack>; });
}

void swiglu_backward(const SwiGluBackward& args, Stream stream) {
  launch_on_rows("swiglu_backward", args, args.gate_up, args.dout, stream,
                 [](auto t, auto pack) { return backward<decltype(t), pack>; });
}

}  // namespace weft::kernels::cuda
