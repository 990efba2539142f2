#include "model/rope.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace weft::model {
namespace {

// YaRN, "NTK-by-parts": dimensions that turn often keep their frequency, those that turn less than
// once over the original length are slowed by `factor`, the ones between are blended (Peng et al.,
// 2023, section 3.2).
void scale_by_yarn(std::vector<double>& frequencies, const Qwen3Config& config) {
  const YarnScaling& yarn = *config.yarn;
  const auto dim = static_cast<double>(config.head_dim);
  const auto original = static_cast<double>(yarn.original_max_position_embeddings);
  const auto dimension_of = [&](double rotations) {
    return dim * std::log(original / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(config.rope_theta));
  };
  const double low = std::max(std::floor(dimension_of(yarn.beta_fast)), 0.0);
  double high = std::min(std::ceil(dimension_of(yarn.beta_slow)), dim - 1);
  if (low == high) {
    high += 0.001;
  }
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double slowed = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= slowed / yarn.factor + (1 - slowed);
  }
}

}  // namespace

RopeTable make_rope_table(const Qwen3Config& config, std::int64_t positions, at::ScalarType dtype,
                          c10::Device device) {
  const std::int64_t half = config.head_dim / 2;
  std::vector<double> frequencies(static_cast<std::size_t>(half));
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = std::pow(config.rope_theta,
                              -2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
  }
  double scale = 1.0;
  if (config.yarn) {
    scale_by_yarn(frequencies, config);
    scale = config.yarn->cos_sin_scale();
  }
  const at::Tensor cos = at::empty({positions, half}, at::TensorOptions(at::kDouble));
  const at::Tensor sin = at::empty({positions, half}, at::TensorOptions(at::kDouble));
  auto* cos_out = cos.mutable_data_ptr<double>();
  auto* sin_out = sin.mutable_data_ptr<double>();
  for (std::int64_t position = 0; position < positions; ++position) {
    for (std::int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) * frequencies[static_cast<std::size_t>(i)];
      cos_out[position * half + i] = std::cos(angle) * scale;
      sin_out[position * half + i] = std::sin(angle) * scale;
    }
  }
  return {cos.to(dtype).to(device), sin.to(dtype).to(device)};
}

}  // namespace weft::model
