#include "trainer/generate.h"

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "tests/model/fixture.h"

namespace weft {
namespace {

// Probabilities 0.6, 0.25, 0.1, 0.05 for ids 2, 0, 3, 1.
at::Tensor logits() {
  return at::tensor({-1.386294361F, -2.995732274F, -0.510825624F, -2.302585093F});
}

std::set<std::int32_t> drawn(trainer::SamplingOptions options) {
  Random random(5);
  std::set<std::int32_t> seen;
  for (int i = 0; i < 2000; ++i) {
    seen.insert(trainer::sample_token(logits(), options, random));
  }
  return seen;
}

trainer::SamplingOptions warm() {
  trainer::SamplingOptions options;
  options.temperature = 1.0;
  return options;
}

TEST(SampleToken, FiltersKeepTheTokensTheyShould) {
  EXPECT_EQ(drawn(warm()), (std::set<std::int32_t>{0, 1, 2, 3}));
  trainer::SamplingOptions options = warm();
  options.top_k = 2;
  EXPECT_EQ(drawn(options), (std::set<std::int32_t>{0, 2}));
  options = warm();
  options.top_p = 0.84;
  EXPECT_EQ(drawn(options), (std::set<std::int32_t>{0, 2}));
  options.top_p = 0.86;
  EXPECT_EQ(drawn(options), (std::set<std::int32_t>{0, 2, 3}));
  options = warm();
  options.min_p = 0.3;
  EXPECT_EQ(drawn(options), (std::set<std::int32_t>{0, 2}));
  options = warm();
  options.temperature = 0;
  EXPECT_EQ(drawn(options), (std::set<std::int32_t>{2}));
}

TEST(SampleToken, DrawsByProbability) {
  Random random(1);
  int hits = 0;
  for (int i = 0; i < 4000; ++i) {
    hits += trainer::sample_token(logits(), warm(), random) == 2 ? 1 : 0;
  }
  EXPECT_NEAR(hits / 4000.0, 0.6, 0.03);
}

TEST(Generate, EndsAtAStopTokenALimitOrTheLastPosition) {
  model::Qwen3Model model = test::load_model("tied_gqa1", at::kFloat);
  trainer::SamplingOptions options;
  options.max_new_tokens = 6;
  const auto free = trainer::generate(model, {1, 2, 3}, options);
  ASSERT_EQ(free.ids.size(), 6U);
  EXPECT_EQ(free.end, trainer::GenerationEnd::kLength);
  options.stop_ids = {free.ids[2]};
  const auto stopped = trainer::generate(model, {1, 2, 3}, options);
  EXPECT_EQ(stopped.end, trainer::GenerationEnd::kStopToken);
  EXPECT_LE(stopped.ids.size(), 3U);
  options.stop_ids.clear();
  options.max_new_tokens = 100000;
  const auto full = trainer::generate(model, {1, 2, 3}, options);
  EXPECT_EQ(full.end, trainer::GenerationEnd::kContext);
  EXPECT_EQ(static_cast<std::int64_t>(full.ids.size()), model.config().max_position_embeddings - 3);
  EXPECT_THROW((void)trainer::generate(model, {}, options), Error);
}

TEST(Generate, EqualSeedsGiveEqualTokens) {
  model::Qwen3Model model = test::load_model("tied_gqa1", at::kFloat);
  trainer::SamplingOptions options = warm();
  options.max_new_tokens = 20;
  options.seed = 9;
  const auto first = trainer::generate(model, {5}, options).ids;
  EXPECT_EQ(trainer::generate(model, {5}, options).ids, first);
  options.seed = 10;
  EXPECT_NE(trainer::generate(model, {5}, options).ids, first);
}

}  // namespace
}  // namespace weft
