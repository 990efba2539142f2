#include "trainer/score.h"

#include <ATen/ops/log_softmax.h>
#include <gtest/gtest.h>

#include "tests/model/fixture.h"

namespace weft {
namespace {

TEST(Score, EqualsTheLogitsOfEachSequenceAlone) {
  model::Qwen3Model model = test::load_model("untied_gqa2", at::kFloat);
  const std::vector<std::vector<std::int32_t>> sequences = {{3, 1, 4, 1, 5}, {9}, {}, {2, 6, 5}};
  const auto scores = trainer::score_sequences(model, sequences, 3);
  ASSERT_EQ(scores.size(), 4U);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const auto& ids = sequences[i];
    ASSERT_EQ(scores[i].log_probs.size(), ids.empty() ? 0 : ids.size() - 1);
    if (ids.size() < 2) {
      continue;
    }
    const auto batch = model::make_packed_batch(
        ids, std::vector<std::uint8_t>(ids.size(), 1),
        std::vector<std::int32_t>{0, static_cast<std::int32_t>(ids.size())},
        model.config().vocab_size, at::kCPU);
    const at::Tensor log_probs = at::log_softmax(test::all_logits(model, batch), -1);
    for (std::size_t t = 1; t < ids.size(); ++t) {
      const at::Tensor row = log_probs[static_cast<std::int64_t>(t) - 1];
      EXPECT_NEAR(scores[i].log_probs[t - 1], row[ids[t]].item<double>(), 1e-5);
      const auto& best = scores[i].alternatives[t - 1];
      ASSERT_EQ(best.size(), 3U);
      EXPECT_EQ(best[0].first, row.argmax().item<std::int64_t>());
      EXPECT_GE(best[0].second, best[1].second);
    }
  }
}

}  // namespace
}  // namespace weft
