// A base spread over forked ranks against a whole one: bits, passes without work, memory.

#include "trainer/shared_base.h"

#include <ATen/Parallel.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "model/init.h"
#include "model/presets.h"
#include "tests/distributed/rank_testing.h"
#include "tests/model/fixture.h"
#include "tests/support/caught.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/run_testing.h"
#include "trainer/base_model.h"
#include "trainer/memory_plan.h"

namespace weft {
namespace {

using distributed::Session;
using model::PassKind;
using ::testing::HasSubstr;

const fs::path kModel = test::fixture_folder() / "model/wide_head";  // three layers

trainer::BaseSharing share(Session& session) {
  trainer::RunConfig config;
  config.shard_base = "world";
  return trainer::open_base_sharing(config, session);
}

model::Qwen3Model load(const trainer::BaseSharing& sharing, at::ScalarType dtype = at::kFloat,
                       bool fp8 = false) {
  trainer::BaseModel base = trainer::load_base_model(posix_file_system(), kModel, dtype, at::kCPU,
                                                     sharing, {.fp8 = fp8, .spare = {}});
  return {base.config, std::move(base.weights), std::move(base.layers)};
}

// `tokens` of one document, of which each is a target or none.
model::PackedBatch batch_of(std::int32_t tokens, bool targets = true) {
  std::vector<std::int32_t> ids;
  for (std::int32_t i = 0; i < tokens; ++i) {
    ids.push_back(1 + i * 31 % 190);
  }
  const std::vector<std::int32_t> bounds{0, tokens};
  return model::make_packed_batch(ids, std::vector<std::uint8_t>(ids.size(), targets ? 1 : 0),
                                  bounds, 199, at::kCPU);
}

// Of both, forward and backward, whole and shared, at this precision.
void expect_equal_passes(int ranks, at::ScalarType dtype, bool fp8) {
  test::run_ranks(ranks, [&](Session& session) {
    model::Qwen3Model whole = load({}, dtype, fp8);
    model::Qwen3Model shared = load(share(session), dtype, fp8);
    ASSERT_NE(shared.layers(), nullptr);
    const model::PackedBatch batch = batch_of(20 + session.rank());
    for (int round = 0; round < 2; ++round) {
      trainer::make_passes(shared.layers(), PassKind::kForward, 2, [&] {
        EXPECT_TRUE(at::equal(shared.target_log_probs(batch), whole.target_log_probs(batch)));
        EXPECT_TRUE(
            at::equal(shared.target_scores(batch).correct, whole.target_scores(batch).correct));
      });
      for (const bool recompute : {false, true}) {
        shared.set_recompute(recompute);
        trainer::make_passes(shared.layers(), PassKind::kForwardBackward, 1, [&] {
          EXPECT_TRUE(at::equal(shared.forward_backward(batch, 1.0, {}),
                                whole.forward_backward(batch, 1.0, {})));
        });
      }
    }
  });
}

class SharedBaseRanks : public ::testing::TestWithParam<int> {};

TEST_P(SharedBaseRanks, APassGivesTheBitsOfAWholeBase) {
  expect_equal_passes(GetParam(), at::kFloat, /*fp8=*/false);
}

TEST_P(SharedBaseRanks, APassOn8BitFloatsGivesTheBitsOfAWholeBase) {
  expect_equal_passes(GetParam(), at::kBFloat16, /*fp8=*/true);
}

// Rank r makes r passes, three at most, one of them over a batch that has nothing to learn from.
TEST_P(SharedBaseRanks, RanksWithLessWorkGoAlong) {
  test::run_ranks(GetParam(), [](Session& session) {
    model::Qwen3Model whole = load({});
    model::Qwen3Model shared = load(share(session));
    const model::PackedBatch batch = batch_of(9);
    trainer::make_passes(shared.layers(), PassKind::kForwardBackward, 3, [&] {
      for (int pass = 0; pass < std::min(session.rank(), 3); ++pass) {
        (void)shared.forward_backward(batch_of(5, /*targets=*/pass != 0), 1.0, {});
      }
    });
    trainer::make_passes(shared.layers(), PassKind::kForward, 2, [&] {
      EXPECT_EQ(shared.target_log_probs(batch_of(7, false)).numel(), 0);
      EXPECT_TRUE(at::equal(shared.target_log_probs(batch), whole.target_log_probs(batch)));
    });
  });
}

// The second layer of a pass is where rank 1 fails; the others' passes come to their end, and so do
// the next ones of all.
TEST_P(SharedBaseRanks, ARankThatFailsInAPassLeavesNobodyWaiting) {
  test::run_ranks(GetParam(), [](Session& session) {
    model::Qwen3Model whole = load({});
    model::Qwen3Model shared = load(share(session));
    const model::PackedBatch batch = batch_of(12);
    bool failed = false;
    try {
      trainer::make_passes(shared.layers(), PassKind::kForward, 3, [&] {
        if (session.rank() == 1) {
          (void)shared.layers()->layer(0);
          (void)shared.layers()->layer(1);
          throw std::runtime_error("no memory for this");
        }
        (void)shared.target_log_probs(batch);
        (void)shared.target_log_probs(batch);
      });
    } catch (const std::runtime_error&) {
      failed = true;
    }
    EXPECT_EQ(failed, session.rank() == 1);
    trainer::make_passes(shared.layers(), PassKind::kForward, 1, [&] {
      EXPECT_TRUE(at::equal(shared.target_log_probs(batch), whole.target_log_probs(batch)));
    });
  });
}

TEST_P(SharedBaseRanks, HoldTheBytesThatThePlanSays) {
  test::run_ranks(GetParam(), [](Session& session) {
    const trainer::BaseSharing sharing = share(session);
    const test::CountingAllocator& counter = test::count_allocations();
    const trainer::BaseModel base =
        trainer::load_base_model(posix_file_system(), kModel, at::kFloat, at::kCPU, sharing);
    EXPECT_EQ(counter.current(), model::shared_base_bytes(base.config, at::kFloat, session.size()));
    EXPECT_EQ(counter.peak(), counter.current()) << "more was held while loading";
  });
}

// While loading, one layer more: its rows are quantised before they are cut.
TEST_P(SharedBaseRanks, Hold8BitFloatsInTheBytesThatThePlanSays) {
  test::run_ranks(GetParam(), [](Session& session) {
    const trainer::BaseSharing sharing = share(session);
    const test::CountingAllocator& counter = test::count_allocations();
    const trainer::BaseModel base = trainer::load_base_model(
        posix_file_system(), kModel, at::kBFloat16, at::kCPU, sharing, {.fp8 = true, .spare = {}});
    EXPECT_EQ(counter.current(),
              model::shared_base_bytes(base.config, at::kBFloat16, session.size(), true));
    EXPECT_LT(model::shared_base_bytes(base.config, at::kBFloat16, session.size(), true),
              model::shared_base_bytes(base.config, at::kBFloat16, session.size()));
  });
}
INSTANTIATE_TEST_SUITE_P(Ranks, SharedBaseRanks, ::testing::Values(2, 3, 5));

TEST(SharedBaseOrder, LayersOutOfOrderAreRefused) {
  test::run_ranks(2, [](Session& session) {
    model::Qwen3Model shared = load(share(session));
    model::LayerSource& layers = *shared.layers();
    EXPECT_THAT(test::caught([&] { (void)layers.layer(0); }).what(),
                HasSubstr("no pass was announced"));
    layers.begin(PassKind::kForward, 1);
    EXPECT_THAT(test::caught([&] { (void)layers.layer(2); }).what(), HasSubstr("expected layer 0"));
    (void)layers.layer(0);
    EXPECT_THAT(test::caught([&] { layers.begin(PassKind::kForward, 1); }).what(),
                HasSubstr("2 layers of earlier ones are left"));
    EXPECT_THAT(test::caught([&] { layers.skip_pass(); }).what(), HasSubstr("where none begins"));
    layers.finish();
  });
}

// A model whose layers are most of it.
class SharedBaseMemory : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const model::Qwen3Config config = model::override_config(
        model::preset_config("tiny", 512),
        {"hidden_size=256", "num_hidden_layers=8", "intermediate_size=768", "head_dim=64"});
    PublishedFolder folder(posix_file_system(), temp_ / "model");
    model::write_random_checkpoint(posix_file_system(), folder.path(), config, {});
    folder.commit();
    std::string ids;
    for (int i = 0; i < 128; ++i) {
      ids += fmt::format("{}{}", i == 0 ? "" : ", ", 1 + i * 7 % 500);
    }
    std::string rows;
    for (int i = 0; i < 8; ++i) {
      rows += fmt::format("{{\"ids\": [{0}], \"labels\": [{0}]}}\n", ids);
    }
    publish_file(posix_file_system(), temp_ / "rows.jsonl", rows);
  }

  [[nodiscard]] trainer::RunConfig config(const std::string& dtype) const {
    return trainer::parse_run_config(
               fmt::format(
                   "model_name_or_path: {}\noutput_dir: {}\ndatasets: [{}]\nmax_length: 128\n"
                   "max_steps: 2\nsave_steps: 1\nlora_rank: 4\ndevice: cpu\nreport_to: none\n"
                   "shard_base: world\ndtype: {}\n",
                   (temp_ / "model").string(), (temp_ / "out").string(),
                   (temp_ / "rows.jsonl").string(), dtype),
               "run.yaml")
        .config;
  }

  test::TempFolder temp_;
};

TEST_P(SharedBaseMemory, OfARunIsWithinFivePercentOfThePlan) {
  const trainer::RunConfig run_config = config(GetParam());
  const at::ScalarType dtype = run_config.dtype == "bf16" ? at::kBFloat16 : at::kFloat;
  const auto plan = [&](std::int64_t shares, bool saves) {
    trainer::RunConfig planned = run_config;
    planned.async_save = saves;
    return static_cast<double>(
        trainer::plan_memory(posix_file_system(), planned, dtype, at::kCPU, {1, false, shares})
            .total());
  };
  EXPECT_LT(plan(3, true), 0.9 * plan(1, true));
  test::run_ranks(3, [&](Session& session) {
    const test::CountingAllocator& counter = test::count_allocations();
    trainer::Trainer(posix_file_system(), run_config, &session).run();
    const auto measured = static_cast<double>(counter.peak());
    // Rank 0 alone copies what it saves.
    EXPECT_NEAR(plan(3, session.is_main()), measured, 0.05 * measured) << "rank " << session.rank();
  });
}
INSTANTIATE_TEST_SUITE_P(Types, SharedBaseMemory,
                         ::testing::Values("fp32", "bf16", "bf16\nbase_dtype: fp8"));

}  // namespace
}  // namespace weft
