#include "kernels/cuda/dropout.h"

#include "kernels/cuda/flat.h"

namespace weft::kernels::cuda {
namespace {

struct Words {
  std::uint32_t values[4];
};

// Philox4x32-10, as base/random.h has it; a counter gives the words of four elements.
__device__ __forceinline__ Words philox(std::uint64_t seed, std::uint64_t counter,
                                        std::uint64_t stream) {
  const auto low = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  const auto high = [](std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); };
  Words x = {{low(counter), high(counter), low(stream), high(stream)}};
  std::uint32_t key0 = low(seed);
  std::uint32_t key1 = high(seed);
  WEFT_UNROLL
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * x.values[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * x.values[2];
    x = {{high(product1) ^ x.values[1] ^ key0, low(product1), high(product0) ^ x.values[3] ^ key1,
          low(product0)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return x;
}

template <typename T, int kPack>
__device__ __forceinline__ void drop(const Dropout& args, std::int64_t first) {
  const auto x = load_pack<kPack>(static_cast<const T*>(args.x) + first);
  T* place = static_cast<T*>(args.out) + first;
  Pack<T, kPack> out = {};
  if (args.accumulate) {
    out = load_pack<kPack>(static_cast<const T*>(place));
  }
  Words words = {};
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    if (k % 4 == 0) {
      words = philox(args.seed, static_cast<std::uint64_t>(first + k) / 4, args.stream);
    }
    std::uint32_t word = words.values[k % 4];
    if (kPack == 1) {  // an element inside its counter's four
      const auto lane = static_cast<int>(first % 4);
      WEFT_UNROLL
      for (int i = 1; i < 4; ++i) {
        word = lane == i ? words.values[i] : word;
      }
    }
    const float value = rounded_product(x.get(k), word < args.threshold ? 0.0f : args.kept);
    out.set(k, args.accumulate ? out.get(k) + value : value);
  }
  store_pack(place, out);
}

template <typename T, int kPack>
__global__ void __launch_bounds__(kFlatThreads) drop_elements(Dropout args) {
  for_my_elements<kPack>(args.count,
                         [&](std::int64_t first, auto pack) { drop<T, pack>(args, first); });
}

}  // namespace

void dropout(const Dropout& args, Stream stream) {
  if (args.count == 0) {
    return;
  }
  with_element(args.element, [&](auto t) {
    using T = decltype(t);
    const auto run = [&](auto pack) {
      launch("dropout", drop_elements<T, pack>, flat_blocks(args.count, pack), kFlatThreads, 0,
             stream, args);
    };
    with_vector<T>(0, run, args.x, args.out);
  });
}

}  // namespace weft::kernels::cuda
