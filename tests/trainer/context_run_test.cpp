// Whole runs of forked ranks that share out micro-batches: their memory, and one that runs out of
// it.

#include <c10/core/CPUAllocator.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>

#include "distributed/watchdog.h"
#include "model/init.h"
#include "model/presets.h"
#include "tests/distributed/rank_testing.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/run_testing.h"
#include "trainer/memory_plan.h"

namespace weft {
namespace {

using distributed::Session;
using ::testing::HasSubstr;

// LibTorch's CPU memory, of which there is none from some moment on.
class EmptyAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (empty_) {
      throw std::bad_alloc();
    }
    return inner_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return inner_->raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
  static EmptyAllocator& install() {
    auto& allocator = *new EmptyAllocator;
    c10::SetCPUAllocator(&allocator, /*priority=*/100);
    return allocator;
  }
  void run_out() { empty_ = true; }

 private:
  c10::Allocator* inner_ = c10::GetCPUAllocator();
  bool empty_ = false;
};

class ContextOutOfMemory : public ::testing::TestWithParam<const char*> {};

// Rank 1 of the first of two groups fails in a pass of the third step.
TEST_P(ContextOutOfMemory, IsTheErrorOfTheRankThatItHappensToAndEndsTheOthers) {
  const test::TempFolder temp;
  const int port = test::free_port();
  test::Ranks ranks(4, [&](int rank) {
    if (rank == 1) {
      EmptyAllocator& allocator = EmptyAllocator::install();
      distributed::set_phase_observer([&](const std::string& phase, std::int64_t step) {
        if (phase == "step" && step == 3) {
          allocator.run_out();
        }
      });
    }
    distributed::SessionOptions options;
    options.timeout = std::chrono::seconds(15);
    Session session(test::launch_of(rank, 4, port), options);
    const auto config = test::fixture_config(
        "train_curve", temp / "out", {"context_parallel_size=2", "save_strategy=no", GetParam()});
    trainer::Trainer(posix_file_system(), config, &session).run();
  });
  int out_of_memory = 0;
  for (const test::RankEnd& end : ranks.wait_all()) {
    SCOPED_TRACE(end.error);
    EXPECT_LT(end.seconds, 8);
    if (end.exit_code == static_cast<int>(ErrorKind::kOutOfMemory)) {
      ++out_of_memory;
      EXPECT_THAT(end.error, HasSubstr("rank 1: out of memory"));
    } else {
      EXPECT_EQ(end.exit_code, static_cast<int>(ErrorKind::kPeer));
      EXPECT_THAT(end.error, HasSubstr("lost rank "));
    }
  }
  EXPECT_GE(out_of_memory, 1) << "rank 1's own";
}
INSTANTIATE_TEST_SUITE_P(Bases, ContextOutOfMemory,
                         ::testing::Values("shard_base=none", "shard_base=world"),
                         [](const auto& info) { return std::string(info.param).substr(11); });

// A model whose activations are most of it, and rows that fill whole micro-batches.
class ContextFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    const model::Qwen3Config config = model::override_config(
        model::preset_config("tiny", 512),
        {"hidden_size=128", "num_hidden_layers=4", "intermediate_size=384", "head_dim=64"});
    PublishedFolder folder(posix_file_system(), temp_ / "model");
    model::write_random_checkpoint(posix_file_system(), folder.path(), config, {});
    folder.commit();
    std::string ids = "1";
    for (int i = 1; i < 1024; ++i) {
      ids += fmt::format(", {}", 1 + i * 7 % 500);
    }
    std::string rows;
    for (int i = 0; i < 4; ++i) {
      rows += fmt::format("{{\"ids\": [{0}], \"labels\": [{0}]}}\n", ids);
    }
    publish_file(posix_file_system(), temp_ / "rows.jsonl", rows);
  }

  [[nodiscard]] trainer::RunConfig config(const std::vector<std::string>& more) const {
    return trainer::parse_run_config(
               fmt::format(
                   "model_name_or_path: {}\noutput_dir: {}\ndatasets: [{}]\nmax_length: 1024\n"
                   "max_steps: 3\nsave_strategy: no\nlora_rank: 4\ndevice: cpu\nreport_to: none\n",
                   (temp_ / "model").string(), (temp_ / "out").string(),
                   (temp_ / "rows.jsonl").string()),
               "run.yaml", more)
        .config;
  }

  test::TempFolder temp_;
};

class ContextMemory : public ContextFolder, public ::testing::WithParamInterface<const char*> {};

TEST_P(ContextMemory, OfARunIsWithinFivePercentOfThePlan) {
  const auto plan = [&](const trainer::RunConfig& planned) {
    const at::ScalarType dtype = planned.dtype == "bf16" ? at::kBFloat16 : at::kFloat;
    const bool recompute = planned.gradient_checkpointing == "true";
    return static_cast<double>(
        trainer::plan_memory(posix_file_system(), planned, dtype, at::kCPU, {1, recompute})
            .total());
  };
  const std::string setting = GetParam();
  const double alone = plan(config({setting}));
  const trainer::RunConfig shared = config({setting, "context_parallel_size=2"});
  EXPECT_LT(plan(shared), 0.85 * alone);
  test::run_ranks(2, [&](Session& session) {
    const test::CountingAllocator& counter = test::count_allocations();
    trainer::Trainer(posix_file_system(), shared, &session).run();
    const auto measured = static_cast<double>(counter.peak());
    EXPECT_NEAR(plan(shared), measured, 0.05 * measured) << "rank " << session.rank();
  });
}
INSTANTIATE_TEST_SUITE_P(Settings, ContextMemory,
                         ::testing::Values("dtype=fp32", "dtype=bf16",
                                           "gradient_checkpointing=true"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::erase_if(name, [](char c) { return c == '=' || c == '_'; });
                           return name;
                         });

// Rank 1 shares its host with others and has less: both make the passes that it can.
TEST_F(ContextFolder, TheRankThatHasLeastDecidesForItsGroup) {
  trainer::RunConfig shared =
      config({"context_parallel_size=2", "per_device_train_batch_size=2", "dtype=fp32"});
  const trainer::MemoryPlan plan =
      trainer::plan_memory(posix_file_system(), shared, at::kFloat, at::kCPU, {2, false});
  shared.max_memory = static_cast<double>(plan.total() + 1) / (1 << 30);
  const int port = test::free_port();
  test::Ranks ranks(2, [&](int rank) {
    distributed::Launch launch = test::launch_of(rank, 2, port);
    launch.local_world_size = 1 + rank;
    distributed::SessionOptions options;
    options.timeout = std::chrono::seconds(5);
    Session session(launch, options);
    EXPECT_EQ(trainer::Trainer(posix_file_system(), shared, &session).run().step, 3);
  });
  for (const test::RankEnd& end : ranks.wait_all()) {
    EXPECT_EQ(end.exit_code, 0) << end.error;
  }
}

}  // namespace
}  // namespace weft
