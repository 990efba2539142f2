#include "kernels/cuda/embedding.h"

#include "kernels/cuda/flat.h"

namespace weft::kernels::cuda {
namespace {

constexpr int kThreads = 128;

// A block copies the row of one token.
template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads) gather(EmbeddingForward args) {
  const std::int64_t token = load(args.tokens + block_index());
  const T* from = static_cast<const T*>(args.table) + token * args.width;
  T* to = static_cast<T*>(args.out) + block_index() * args.width;
  for (std::int64_t i = thread_index() * kPack; i < args.width; i += kThreads * kPack) {
    store_pack(to + i, load_pack<kPack>(from + i));
  }
}

// The block of a token's first place in sorted order adds up all its rows, one after the other, so
// that the sum does not depend on which block ran when; the other blocks have nothing to do.
template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads) add_rows(EmbeddingBackward args) {
  const std::int64_t first = block_index();
  const std::int64_t token = load(args.sorted + first);
  if (first > 0 && load(args.sorted + first - 1) == token) {
    return;
  }
  for (std::int64_t i = thread_index() * kPack; i < args.width; i += kThreads * kPack) {
    float* place = args.grad_table + token * args.width + i;
    auto sum = Floats<kPack>::of(place);
    for (std::int64_t at = first; at < args.count && load(args.sorted + at) == token; ++at) {
      const T* row = static_cast<const T*>(args.dout) + load(args.order + at) * args.width;
      const auto dout = load_pack<kPack>(row + i);
      WEFT_UNROLL
      for (int k = 0; k < kPack; ++k) {
        sum.values[k] += dout.get(k);
      }
    }
    sum.put(place);
  }
}

}  // namespace

void embedding_forward(const EmbeddingForward& args, Stream stream) {
  if (args.count == 0) {
    return;
  }
  with_element(args.element, [&](auto t) {
    using T = decltype(t);
    const auto run = [&](auto pack) {
      launch("embedding_forward", gather<T, pack>, args.count, kThreads, 0, stream, args);
    };
    with_vector<T>(args.width, run, args.table, args.out);
  });
}

void embedding_backward(const EmbeddingBackward& args, Stream stream) {
  if (args.count == 0) {
    return;
  }
  with_element(args.element, [&](auto t) {
    using T = decltype(t);
    const auto run = [&](auto pack) {
      launch("embedding_backward", add_rows<T, pack>, args.count, kThreads, 0, stream, args);
    };
    with_vector<T>(args.width, run, args.dout, args.grad_table);
  });
}

}  // namespace weft::kernels::cuda
