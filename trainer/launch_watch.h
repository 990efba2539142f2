#pragma once

#include <cstdint>

namespace weft::trainer {

/// Finds out whether a GPU waits for the host, which launches its kernels one by one: then little
/// is left to wait for when the last one of a step is launched. A driver lets the host run ahead by
/// about a thousand launches, a good part of a pass, and no more: so what is left is compared with
/// the time of one pass.
class LaunchWatch {
 public:
  /// A step of `passes` passes, which took `launching` seconds until all was launched and `waiting`
  /// seconds more until it was done. True once: at the last of kSteps steps, after the first ones,
  /// in all of which the device had waited.
  [[nodiscard]] bool add(double launching, double waiting, std::int64_t passes) {
    ++steps_;
    if (steps_ <= kFirst || steps_ > kFirst + kSteps) {
      return false;
    }
    const double pass = (launching + waiting) / static_cast<double>(passes);
    always_ = always_ && waiting < kLittle * pass;
    launching_ += launching;
    return steps_ == kFirst + kSteps && always_;
  }
  /// Of those steps, a step's.
  [[nodiscard]] double launching_seconds() const { return launching_ / kSteps; }

 private:
  static constexpr int kFirst = 3;  // in which plans are made
  static constexpr int kSteps = 5;
  static constexpr double kLittle = 0.05;

  std::int64_t steps_ = 0;
  bool always_ = true;
  double launching_ = 0;
};

}  // namespace weft::trainer
