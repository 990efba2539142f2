#include "trainer/generate.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace weft::trainer {
namespace {

struct Candidate {
  float probability;
  std::int32_t id;
};

// All tokens with their probabilities, most probable first; equal ones by id, so that the order is
// fixed.
std::vector<Candidate> ranked(const float* logits, std::int64_t count,
                              const SamplingOptions& options) {
  std::vector<Candidate> all(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = {logits[i] / static_cast<float>(options.temperature), static_cast<std::int32_t>(i)};
  }
  const auto before = [](const Candidate& left, const Candidate& right) {
    return left.probability != right.probability ? left.probability > right.probability
                                                 : left.id < right.id;
  };
  if (options.top_k > 0 && options.top_k < count) {
    const auto keep = static_cast<std::ptrdiff_t>(options.top_k);
    std::partial_sort(all.begin(), all.begin() + keep, all.end(), before);
    all.resize(static_cast<std::size_t>(keep));
  } else {
    std::sort(all.begin(), all.end(), before);
  }
  return all;
}

void to_probabilities(std::vector<Candidate>& candidates) {
  const float largest = candidates.front().probability;
  double sum = 0;
  for (Candidate& candidate : candidates) {
    candidate.probability = std::exp(candidate.probability - largest);
    sum += static_cast<double>(candidate.probability);
  }
  for (Candidate& candidate : candidates) {
    candidate.probability = static_cast<float>(static_cast<double>(candidate.probability) / sum);
  }
}

void keep_top_p(std::vector<Candidate>& candidates, double top_p) {
  double sum = 0;
  std::size_t keep = 0;
  while (keep < candidates.size() && (keep == 0 || sum < top_p)) {
    sum += static_cast<double>(candidates[keep++].probability);
  }
  candidates.resize(keep);
}

void keep_min_p(std::vector<Candidate>& candidates, double min_p) {
  const double least = min_p * static_cast<double>(candidates.front().probability);
  std::erase_if(candidates, [&](const Candidate& each) {
    return static_cast<double>(each.probability) < least;
  });
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

at::Tensor to_tensor(const std::vector<std::int32_t>& ids) {
  at::Tensor tensor =
      at::empty({static_cast<std::int64_t>(ids.size())}, at::TensorOptions(at::kLong));
  std::copy(ids.begin(), ids.end(), tensor.mutable_data_ptr<std::int64_t>());
  return tensor;
}

}  // namespace

std::int32_t sample_token(const at::Tensor& logits, const SamplingOptions& options,
                          Random& random) {
  const at::Tensor host = logits.to(at::kCPU).to(at::kFloat).contiguous();
  const auto* values = host.const_data_ptr<float>();
  if (!std::isfinite(*std::max_element(values, values + host.numel()))) {
    fail(ErrorKind::kNumerics,
         "the model's logits are not finite; its weights or the adapter are damaged");
  }
  if (options.temperature == 0) {
    return static_cast<std::int32_t>(std::max_element(values, values + host.numel()) - values);
  }
  std::vector<Candidate> candidates = ranked(values, host.numel(), options);
  to_probabilities(candidates);
  keep_top_p(candidates, options.top_p);
  keep_min_p(candidates, options.min_p);
  double total = 0;
  for (const Candidate& candidate : candidates) {
    total += static_cast<double>(candidate.probability);
  }
  double left = random.uniform() * total;
  for (const Candidate& candidate : candidates) {
    left -= static_cast<double>(candidate.probability);
    if (left < 0) {
      return candidate.id;
    }
  }
  return candidates.back().id;
}

Generation generate(model::Qwen3Model& model, const std::vector<std::int32_t>& prompt,
                    const SamplingOptions& options,
                    const std::function<void(std::int32_t)>& on_token) {
  const auto prompt_length = static_cast<std::int64_t>(prompt.size());
  const std::int64_t positions = model.config().max_position_embeddings;
  if (prompt_length == 0 || prompt_length >= positions) {
    fail_data("the prompt has {} tokens, expected 1 to {} for this model", prompt_length,
              positions - 1);
  }
  const std::int64_t room = std::min(options.max_new_tokens, positions - prompt_length);
  model::KvCache cache(model.config(), prompt_length + room, model.dtype(), model.device());
  Random random(options.seed);
  Generation result;
  auto began = std::chrono::steady_clock::now();
  at::Tensor logits = model.decode(cache, to_tensor(prompt));
  result.prompt_seconds = seconds_since(began);
  began = std::chrono::steady_clock::now();
  result.end = room < options.max_new_tokens ? GenerationEnd::kContext : GenerationEnd::kLength;
  for (std::int64_t i = 0; i < room; ++i) {
    const std::int32_t id = sample_token(logits, options, random);
    result.ids.push_back(id);
    if (on_token) {
      on_token(id);
    }
    if (std::find(options.stop_ids.begin(), options.stop_ids.end(), id) != options.stop_ids.end()) {
      result.end = GenerationEnd::kStopToken;
      break;
    }
    if (i + 1 < room) {
      logits = model.decode(cache, to_tensor({id}));
    }
  }
  result.seconds = seconds_since(began);
  return result;
}

}  // namespace weft::trainer
