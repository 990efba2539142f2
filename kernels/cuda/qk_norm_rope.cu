// A block takes a token. Neighbouring lanes share a head: each holds a pack of the head's first
// half and the pack of the second half that it is turned with, so that a head is read and written
// once and its sum stays inside a few lanes. A thread keeps its cosines and sines for all its
// heads. The kernels are long because a head's registers live through both of their passes.
#include "kernels/cuda/qk_norm_rope.h"

#include <utility>

#include "kernels/cuda/flat.h"

namespace weft::kernels::cuda {
namespace {

constexpr int kThreads = 128;

/// Lanes that share a head, a power of two; 0 when it takes more than a warp.
int lanes_of(int head_dim, int pack) {
  const int needed = (head_dim / 2 + pack - 1) / pack;
  int lanes = 1;
  while (lanes < needed) {
    lanes *= 2;
  }
  return lanes <= kWarp ? lanes : 0;
}

/// What a thread holds of a head: elements [column, column + kPack) of both halves.
template <int kPack>
struct Pair {
  float first[kPack];
  float second[kPack];
};

// By value: a reference to one of two would put both into memory.
template <int kPack>
__device__ __forceinline__ Pair<kPack> choose(bool one, const Pair<kPack>& a,
                                              const Pair<kPack>& b) {
  Pair<kPack> pair;
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    pair.first[k] = one ? a.first[k] : b.first[k];
    pair.second[k] = one ? a.second[k] : b.second[k];
  }
  return pair;
}

template <typename T, int kPack>
__device__ __forceinline__ Pair<kPack> load_pair(const T* head, int half, int column) {
  const auto first = load_pack<kPack>(head + column);
  const auto second = load_pack<kPack>(head + half + column);
  Pair<kPack> pair;
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    pair.first[k] = first.get(k);
    pair.second[k] = second.get(k);
  }
  return pair;
}

template <typename T, int kPack>
__device__ __forceinline__ void store_pair(T* head, int half, int column, const Pair<kPack>& pair) {
  Pack<T, kPack> first;
  Pack<T, kPack> second;
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    first.set(k, pair.first[k]);
    second.set(k, pair.second[k]);
  }
  store_pack(head + column, first);
  store_pack(head + half + column, second);
}

/// A thread's place in its block, and its part of the weights and tables.
template <typename T, int kPack>
struct Part {
  int lane, group, groups, half, column;
  bool inside;  ///< whether this lane holds elements
  Pair<kPack> q_weight, k_weight;

  __device__ __forceinline__ Part(const Heads& heads, int lanes)
      : lane(thread_index() % lanes),
        group(thread_index() / lanes),
        groups(kThreads / lanes),
        half(heads.head_dim / 2),
        column(lane * kPack),
        inside(column < half),
        q_weight{},
        k_weight{} {
    if (inside) {
      q_weight = load_pair<T, kPack>(static_cast<const T*>(heads.q_weight), half, column);
      k_weight = load_pair<T, kPack>(static_cast<const T*>(heads.k_weight), half, column);
    }
  }
};

/// Cosines (first) and sines (second) of a token.
template <int kPack>
__device__ __forceinline__ Pair<kPack> turn_of(const Heads& heads, std::int64_t token, int half,
                                               int column) {
  const std::int64_t row = std::int64_t{load(heads.positions + token)} * half + column;
  const auto cos = Floats<kPack>::of(heads.cos + row);
  const auto sin = Floats<kPack>::of(heads.sin + row);
  Pair<kPack> turn;
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    turn.first[k] = cos.values[k];
    turn.second[k] = sin.values[k];
  }
  return turn;
}

template <typename T, int kPack>
__global__ void __launch_bounds__(kThreads) forward(QkNormRopeForward args, int lanes) {
  const Part<T, kPack> part(args.heads, lanes);
  const int rotated = args.heads.heads_q + args.heads.heads_k;
  const int width = args.heads.head_dim;
  const std::int64_t token = block_index();
  T* row = static_cast<T*>(args.qkv) + token * args.qkv_stride;
  Pair<kPack> turn = {};
  if (part.inside) {
    turn = turn_of<kPack>(args.heads, token, part.half, part.column);
  }
  // Every lane goes through every round: a sum needs its whole warp.
  for (int base = 0; base < rotated; base += part.groups) {
    const int head = base + part.group;
    const bool active = part.inside && head < rotated;
    T* place = row + std::int64_t{head} * width;
    Pair<kPack> x = {};
    float sum = 0;
    if (active) {
      x = load_pair<T, kPack>(place, part.half, part.column);
      WEFT_UNROLL
      for (int k = 0; k < kPack; ++k) {
        sum += x.first[k] * x.first[k] + x.second[k] * x.second[k];
      }
    }
    sum = group_sum(sum, lanes);
    const float rstd = 1.0f / sqrt_of(sum / static_cast<float>(width) + args.eps);
    if (!active) {
      continue;
    }
    const std::int64_t index = token * rotated + head;
    if (part.lane == 0) {
      store(args.rstd + index, rstd);
    }
    const auto weight = choose(head < args.heads.heads_q, part.q_weight, part.k_weight);
    Pair<kPack> y;
    WEFT_UNROLL
    for (int k = 0; k < kPack; ++k) {
      x.first[k] *= rstd;
      x.second[k] *= rstd;
      const float first = x.first[k] * weight.first[k];
      const float second = x.second[k] * weight.second[k];
      y.first[k] = first * turn.first[k] - second * turn.second[k];
      y.second[k] = second * turn.first[k] + first * turn.second[k];
    }
    store_pair(place, part.half, part.column, y);
    if (args.normalized != nullptr) {
      store_pair(static_cast<T*>(args.normalized) + index * width, part.half, part.column, x);
    }
  }
}

/// norm(x) of a head from what the forward wrote: turned back, and divided by the weight.
template <int kPack>
__device__ __forceinline__ void undo(Pair<kPack>& x, const Pair<kPack>& turn,
                                     const Pair<kPack>& weight) {
  WEFT_UNROLL
  for (int k = 0; k < kPack; ++k) {
    const float cos = turn.first[k];
    const float sin = turn.second[k];
    // YaRN's tables hold a factor, so turning back is not yet undoing.
    const float factor = 1.0f / (cos * cos + sin * sin);
    const float first = (x.first[k] * cos + x.second[k] * sin) * factor;
    const float second = (x.second[k] * cos - x.first[k] * sin) * factor;
    x.first[k] = first * (1.0f / weight.first[k]);
    x.second[k] = second * (1.0f / weight.second[k]);
  }
}

/// Adds up a thread's share over the groups of its block, one after the other, and writes the sums
/// of the block: first those of the queries' weight, then those of the keys'.
template <int kPack, typename P>
__device__ __forceinline__ void write_partials(const P& part, const Pair<kPack>& dq,
                                               const Pair<kPack>& dk, float* out) {
  const Shared<float> sums = shared_array<float>(0);
  for (int group = 0; group < part.groups; ++group) {
    if (part.group == group && part.inside) {
      WEFT_UNROLL
      for (int k = 0; k < kPack; ++k) {
        const float values[4] = {dq.first[k], dq.second[k], dk.first[k], dk.second[k]};
        WEFT_UNROLL
        for (int quarter = 0; quarter < 4; ++quarter) {
          const int at = quarter * part.half + part.column + k;
          sums.set(at, group == 0 ? values[quarter] : sums.get(at) + values[quarter]);
        }
      }
    }
    sync_block();
  }
  for (int i = thread_index(); i < 4 * part.half; i += kThreads) {
    store(out + i, sums.get(i));
  }
}

template <typename T, int kPack, bool kWeightGradient>
__global__ void __launch_bounds__(kThreads) backward(QkNormRopeBackward args, int lanes) {
  const Part<T, kPack> part(args.heads, lanes);
  const int rotated = args.heads.heads_q + args.heads.heads_k;
  const int width = args.heads.head_dim;
  Pair<kPack> dq = {};
  Pair<kPack> dk = {};
  for (std::int64_t token = block_index(); token < args.tokens; token += grid_blocks()) {
    Pair<kPack> turn = {};
    if (part.inside) {
      turn = turn_of<kPack>(args.heads, token, part.half, part.column);
    }
    for (int base = 0; base < rotated; base += part.groups) {
      const int head = base + part.group;
      const bool active = part.inside && head < rotated;
      const bool is_query = head < args.heads.heads_q;
      const auto weight = choose(is_query, part.q_weight, part.k_weight);
      const std::int64_t index = token * rotated + head;
      const std::int64_t column = std::int64_t{head} * width;
      T* place = static_cast<T*>(args.dqkv) + token * args.dqkv_stride + column;
      Pair<kPack> unit = {};
      Pair<kPack> grad = {};
      float sum = 0;
      if (active) {
        if (args.normalized != nullptr) {
          const T* normalized = static_cast<const T*>(args.normalized) + index * width;
          unit = load_pair<T, kPack>(normalized, part.half, part.column);
        } else {
          const T* output = static_cast<const T*>(args.qkv) + token * args.qkv_stride + column;
          unit = load_pair<T, kPack>(output, part.half, part.column);
          undo(unit, turn, weight);
        }
        const Pair<kPack> dy = load_pair<T, kPack>(place, part.half, part.column);
        WEFT_UNROLL
        for (int k = 0; k < kPack; ++k) {
          grad.first[k] = dy.first[k] * turn.first[k] + dy.second[k] * turn.second[k];
          grad.second[k] = dy.second[k] * turn.first[k] - dy.first[k] * turn.second[k];
          const float first = grad.first[k] * unit.first[k];
          const float second = grad.second[k] * unit.second[k];
          sum += first * weight.first[k] + second * weight.second[k];
          if constexpr (kWeightGradient) {
            dq.first[k] += is_query ? first : 0.0f;
            dq.second[k] += is_query ? second : 0.0f;
            dk.first[k] += is_query ? 0.0f : first;
            dk.second[k] += is_query ? 0.0f : second;
          }
        }
      }
      const float mean = group_sum(sum, lanes) / static_cast<float>(width);
      if (!active) {
        continue;
      }
      const float rstd = load(args.rstd + index);
      WEFT_UNROLL
      for (int k = 0; k < kPack; ++k) {
        grad.first[k] = (grad.first[k] * weight.first[k] - unit.first[k] * mean) * rstd;
        grad.second[k] = (grad.second[k] * weight.second[k] - unit.second[k] * mean) * rstd;
      }
      store_pair(place, part.half, part.column, grad);
    }
  }
  if constexpr (kWeightGradient) {
    write_partials(part, dq, dk, args.partials + block_index() * 2 * width);
  }
}

/// Calls body(T(), Constant<pack>, lanes) for the instance that takes these heads in rows of these
/// strides (divisors_of).
template <typename Body, typename... Pointers>
bool with_heads(Element element, const Heads& heads, std::int64_t strides, const Body& body,
                Pointers... pointers) {
  if (heads.head_dim % 2 != 0) {
    return false;
  }
  return with_element(element, [&](auto t) {
    using T = decltype(t);
    bool taken = false;
    const auto run = [&](auto pack) {
      const int lanes = lanes_of(heads.head_dim, pack);
      taken = lanes > 0;
      if (taken) {
        body(t, pack, lanes);
      }
    };
    with_vector<T>(divisors_of(heads.head_dim / 2, strides), run, heads.q_weight, heads.k_weight,
                   heads.cos, heads.sin, pointers...);
    return taken;
  });
}

}  // namespace

bool qk_norm_rope_forward(const QkNormRopeForward& args, Stream stream) {
  const auto run = [&](auto t, auto pack, int lanes) {
    using T = decltype(t);
    if (args.tokens > 0) {
      launch("qk_norm_rope_forward", forward<T, pack>, args.tokens, kThreads, 0, stream, args,
             lanes);
    }
  };
  return with_heads(args.element, args.heads, args.qkv_stride, run, args.qkv, args.normalized);
}

bool qk_norm_rope_backward(const QkNormRopeBackward& args, Stream stream) {
  const bool weights = args.dq_weight != nullptr || args.dk_weight != nullptr;
  const std::int64_t blocks = partial_sums_of(args.tokens);
  const std::int64_t width = args.heads.head_dim;
  const auto run = [&](auto t, auto pack, int lanes) {
    using T = decltype(t);
    if (args.tokens == 0) {
      return;
    }
    if (weights) {
      launch("qk_norm_rope_backward", backward<T, pack, true>, blocks, kThreads,
             static_cast<int>(2 * width * std::int64_t{sizeof(float)}), stream, args, lanes);
    } else {
      launch("qk_norm_rope_backward", backward<T, pack, false>, args.tokens, kThreads, 0, stream,
             args, lanes);
    }
  };
  const bool taken =
      with_heads(args.element, args.heads, divisors_of(args.dqkv_stride, args.qkv_stride), run,
                 args.dqkv, args.qkv, args.normalized);
  for (const auto& [out, first] :
       {std::pair{args.dq_weight, std::int64_t{0}}, std::pair{args.dk_weight, width}}) {
    if (taken && args.tokens > 0 && out != nullptr) {
      add_column_sums(args.partials + first, blocks, 2 * width, width, out, stream);
    }
  }
  return taken;
}

}  // namespace weft::kernels::cuda
