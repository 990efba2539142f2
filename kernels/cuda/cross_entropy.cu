// A block takes a row of logits, which is too long for registers: one pass finds the largest logit
// and the sum of exponentials together, a second one, for which the row is still in the cache,
// writes the gradient.
#include "kernels/cuda/cross_entropy.h"

#include "kernels/cuda/rows.h"

namespace weft::kernels::cuda {
namespace {

constexpr int kThreads = 512;
// Not -infinity: a thread that saw only masked logits would compute infinity - infinity.
constexpr float kLowest = -3.402823466e38f;

struct Softmax {
  float largest;
  float sum;  ///< of e^(x - largest)
};

// Every thread gets what holds for the row.
template <typename T, int kPack>
__device__ __forceinline__ Softmax softmax_of(const T* row, int width) {
  float largest = kLowest;
  float sum = 0;
  for (int i = thread_index() * kPack; i < width; i += kThreads * kPack) {
    const auto pack = load_pack<kPack>(row + i);
    float top = largest;
    WEFT_UNROLL
    for (int k = 0; k < kPack; ++k) {
      top = larger_of(top, pack.get(k));
    }
    sum *= exp_of(largest - top);
    WEFT_UNROLL
    for (int k = 0; k < kPack; ++k) {
      sum += exp_of(pack.get(k) - top);
    }
    largest = top;
  }
  const Shared<float> scratch = shared_array<float>(0);
  const float of_row = block_max(largest, scratch);
  return {of_row, block_sum(sum * exp_of(largest - of_row), scratch)};
}

// G: of the gradient, which may be narrower than the logits, T.
template <typename T, typename G, int kPack>
__global__ void __launch_bounds__(kThreads) softmax_rows(CrossEntropy args) {
  const int width = static_cast<int>(args.width);
  const T* row = static_cast<const T*>(args.logits) + block_index() * args.width;
  const std::int64_t target = load(args.targets + block_index());
  // Read before any thread writes the gradient there.
  const float logit = thread_index() == 0 ? to_float(load(row + target)) : 0;
  const Softmax softmax = softmax_of<T, kPack>(row, width);
  if (thread_index() == 0) {
    store(args.log_probs + block_index(), logit - softmax.largest - log_of(softmax.sum));
  }
  if (args.gradient == nullptr) {
    return;
  }
  G* gradient = static_cast<G*>(args.gradient) + block_index() * args.width;
  const float factor = args.scale / softmax.sum;
  for (int i = thread_index() * kPack; i < width; i += kThreads * kPack) {
    const auto pack = load_pack<kPack>(row + i);
    Pack<G, kPack> result;
    WEFT_UNROLL
    for (int k = 0; k < kPack; ++k) {
      const float power = exp_of(pack.get(k) - softmax.largest);
      result.set(k, i + k == target ? (power / softmax.sum - 1.0f) * args.scale : power * factor);
    }
    store_pack(gradient + i, result);
  }
}

}  // namespace

void cross_entropy(const CrossEntropy& args, Stream stream) {
  if (args.rows == 0) {
    return;
  }
  with_element(args.element, [&](auto t) {
    using T = decltype(t);
    const auto run_with = [&](auto g) {
      using G = decltype(g);
      const auto run = [&](auto pack) {
        launch("cross_entropy", softmax_rows<T, G, pack>, args.rows, kThreads, kSumBytes<float>,
               stream, args);
      };
      with_vector<T>(args.width, run, args.logits, args.gradient);
    };
    // Of bf16 logits the gradient is bf16.
    if (args.gradient_element == Element::kBfloat16) {
      run_with(Bf16());
    } else {
      run_with(t);
    }
  });
}

}  // namespace weft::kernels::cuda
