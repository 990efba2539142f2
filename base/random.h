#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace weft {

/// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): four
/// random words as a pure function of a 64-bit key and a 128-bit counter.
[[nodiscard]] std::array<std::uint32_t, 4> philox4x32(std::uint64_t key, std::uint64_t counter_low,
                                                      std::uint64_t counter_high);

/// A stream of random numbers that is a pure function of (seed, stream, position): its whole state
/// is three integers, and two streams of one seed never overlap.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0, std::uint64_t position = 0)
      : seed_(seed), stream_(stream), position_(position) {}

  [[nodiscard]] std::uint64_t position() const { return position_; }
  /// 64 uniform bits; advances position by one, as every draw below does per number unless it says
  /// otherwise.
  std::uint64_t bits();
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Uniform integer in [0, bound) without bias; bound > 0. May advance position by more than one.
  std::uint64_t below(std::uint64_t bound);
  /// Standard normal (Box-Muller, one value per draw).
  double normal();
  /// Fisher-Yates shuffle.
  void shuffle(std::span<std::int64_t> values);

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t position_;
};

}  // namespace weft
