#include "base/random.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "base/error.h"

namespace weft {
namespace {

constexpr std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
constexpr std::uint32_t high(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

/// The upper 53 bits as a number in [0, 1).
double unit_interval(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::uint64_t key, std::uint64_t counter_low,
                                        std::uint64_t counter_high) {
  std::array<std::uint32_t, 4> x = {low(counter_low), high(counter_low), low(counter_high),
                                    high(counter_high)};
  std::uint32_t key0 = low(key);
  std::uint32_t key1 = high(key);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * x[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * x[2];
    x = {high(product1) ^ x[1] ^ key0, low(product1), high(product0) ^ x[3] ^ key1, low(product0)};
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return x;
}

// Draw number p of a stream is block (counter p, stream) of Philox under the key `seed`: streams
// cannot overlap.
std::uint64_t Random::bits() {
  const auto x = philox4x32(seed_, position_++, stream_);
  return std::uint64_t{x[1]} << 32 | x[0];
}

double Random::uniform() { return unit_interval(bits()); }

std::uint64_t Random::below(std::uint64_t bound) {
  if (bound == 0) {
    fail_internal("Random::below needs a bound above 0");
  }
  // Lemire, "Fast Random Integer Generation in an Interval" (2019): the upper half of bits * bound
  // is uniform once the few lower halves that would favour some values are rejected.
  const std::uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const auto product = static_cast<unsigned __int128>(bits()) * bound;
    if (static_cast<std::uint64_t>(product) >= threshold) {
      return static_cast<std::uint64_t>(product >> 64);
    }
  }
}

double Random::normal() {
  const auto x = philox4x32(seed_, position_++, stream_);
  const double radius_uniform = 1.0 - unit_interval(std::uint64_t{x[1]} << 32 | x[0]);  // (0, 1]
  const double angle_uniform = unit_interval(std::uint64_t{x[3]} << 32 | x[2]);
  return std::sqrt(-2.0 * std::log(radius_uniform)) *
         std::cos(2.0 * std::numbers::pi * angle_uniform);
}

void Random::shuffle(std::span<std::int64_t> values) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[static_cast<std::size_t>(below(i))]);
  }
}

}  // namespace weft
