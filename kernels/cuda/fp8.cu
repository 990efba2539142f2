// A block quantises a row, which its threads keep in registers: every element is read once. The
// other kernel turns a matrix of bytes, tile by tile.
#include "kernels/cuda/fp8.h"

#include "kernels/cuda/fp8_rows.h"

namespace weft::kernels::cuda {
namespace {

template <typename T, int kPack, int kChunks>
__global__ void __launch_bounds__(kRowThreads) quantize_row(QuantizeRows args) {
  const int width = static_cast<int>(args.width);
  const std::int64_t first = block_index() * args.width;
  const auto factors_at = [&](int i) {
    return args.factors == nullptr ? nullptr : args.factors + i;
  };
  KeptPack<T, kPack> x[kChunks];
  float largest = 0;
  WEFT_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    const int i = pack_start(c, kPack);
    if (i < width) {
      x[c] = KeptPack<T, kPack>::at(static_cast<const T*>(args.x) + first + i);
      largest = larger_of_pack(largest, x[c], factors_at(i));
    }
  }
  const float inverse =
      choose_fp8_scale(largest, args.scales + block_index(), shared_array<float>(0));
  WEFT_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    const int i = pack_start(c, kPack);
    if (i < width) {
      store_product(args.values + first + i, inverse, x[c], factors_at(i));
    }
  }
}

// A tile of 64 x 64 bytes: 256 threads move 16 of them each, and rows of shared memory are a word
// longer, so that a column is spread over the banks.
constexpr int kTile = 64;
constexpr int kPitch = kTile + 4;
constexpr int kTileThreads = 256;
constexpr int kShare = kTile * kTile / kTileThreads;

struct Words {
  std::uint32_t word[kShare / 4];
};

struct Tile {
  std::int64_t row;
  std::int64_t column;
};

template <bool kVector16>
__device__ __forceinline__ void load_tile(const TransposeBytes& args, const Tile& tile,
                                          const Shared<std::uint8_t>& bytes,
                                          const Shared<std::uint32_t>& words) {
  const int row = thread_index() / (kTile / kShare);
  const int column = thread_index() % (kTile / kShare) * kShare;
  if (tile.row + row >= args.rows) {
    return;
  }
  const std::uint8_t* place = args.in + (tile.row + row) * args.columns + tile.column + column;
  if constexpr (kVector16) {
    if (tile.column + column < args.columns) {
      const auto loaded = load_pack<kShare>(place);
      Words moved;
      memcpy(&moved, &loaded, sizeof(moved));
      WEFT_UNROLL
      for (int k = 0; k < kShare / 4; ++k) {
        words.set((row * kPitch + column) / 4 + k, moved.word[k]);
      }
    }
  } else {
    for (int k = 0; k < kShare && tile.column + column + k < args.columns; ++k) {
      bytes.set(row * kPitch + column + k, load(place + k));
    }
  }
}

template <bool kVector16>
__device__ __forceinline__ void store_tile(const TransposeBytes& args, const Tile& tile,
                                           const Shared<std::uint8_t>& bytes) {
  const int column = thread_index() / (kTile / kShare);
  const int row = thread_index() % (kTile / kShare) * kShare;
  if (tile.column + column >= args.columns) {
    return;
  }
  std::uint8_t* place = args.out + (tile.column + column) * args.rows + tile.row + row;
  if constexpr (kVector16) {
    if (tile.row + row < args.rows) {
      Pack<std::uint8_t, kShare> turned;
      WEFT_UNROLL
      for (int k = 0; k < kShare; ++k) {
        turned.values[k] = bytes.get((row + k) * kPitch + column);
      }
      store_pack(place, turned);
    }
  } else {
    for (int k = 0; k < kShare && tile.row + row + k < args.rows; ++k) {
      store(place + k, bytes.get((row + k) * kPitch + column));
    }
  }
}

template <bool kVector16>
__global__ void __launch_bounds__(kTileThreads) transpose(TransposeBytes args, int across) {
  const auto block = static_cast<unsigned>(block_index());
  const unsigned down = block / static_cast<unsigned>(across);
  const Tile tile{std::int64_t{down} * kTile,
                  std::int64_t{block - down * static_cast<unsigned>(across)} * kTile};
  const Shared<std::uint8_t> bytes = shared_array<std::uint8_t>(0);
  load_tile<kVector16>(args, tile, bytes, shared_array<std::uint32_t>(0));
  sync_block();
  store_tile<kVector16>(args, tile, bytes);
}

}  // namespace

bool quantize_rows(const QuantizeRows& args, Stream stream) {
  return with_element(args.element, [&](auto t) {
    using T = decltype(t);
    bool taken = false;
    with_vector<T>(
        args.width,
        [&](auto pack) {
          taken = with_many_chunks<16>(args.width, pack, [&](auto chunks, int threads) {
            if (args.rows > 0 && args.width > 0) {
              launch("quantize_rows", quantize_row<T, pack, chunks>, args.rows, threads,
                     kSumBytes<float>, stream, args);
            }
          });
        },
        args.x, args.factors, args.values);
    return taken;
  });
}

void transpose_bytes(const TransposeBytes& args, Stream stream) {
  if (args.rows == 0 || args.columns == 0) {
    return;
  }
  const std::int64_t across = (args.columns + kTile - 1) / kTile;
  const std::int64_t blocks = across * ((args.rows + kTile - 1) / kTile);
  const bool vector = args.rows % kShare == 0 && args.columns % kShare == 0 &&
                      aligned_for_vectors(args.in, args.out);
  launch("transpose_bytes", vector ? transpose<true> : transpose<false>, blocks, kTileThreads,
         kTile * kPitch, stream, args, static_cast<int>(across));
}

}  // namespace weft::kernels::cuda
