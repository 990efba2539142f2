#include "distributed/process_group.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "distributed/gloo_mesh.h"
#include "tests/distributed/rank_testing.h"

namespace weft::distributed {
namespace {

using test::run_ranks;

// Numbers whose sum depends on the order.
float number(int rank, std::int64_t i) {
  return static_cast<float>((i * 7919 + rank * 104729) % 1000003) * (rank % 2 == 0 ? 1e-3F : 3.7F);
}

class Collectives : public ::testing::TestWithParam<std::tuple<int, std::int64_t>> {};

TEST_P(Collectives, AllReduceAddsInTheOrderOfTheRanksBitForBitAndSendsWhatItMust) {
  const auto [world, count] = GetParam();
  run_ranks(world, [&, world = world, count = count](Session& session) {
    ProcessGroup& group = session.group();
    const at::Tensor tensor = at::empty({count}, at::kFloat);
    const std::uint64_t before = group.bytes_sent();
    for (int run = 0; run < 2; ++run) {
      auto* data = tensor.data_ptr<float>();
      for (std::int64_t i = 0; i < count; ++i) {
        data[i] = number(group.rank(), i);
      }
      group.all_reduce(tensor, "a test");
      for (std::int64_t i = 0; i < count; ++i) {
        float expected = number(0, i);
        for (int r = 1; r < world; ++r) {
          expected += number(r, i);
        }
        ASSERT_EQ(std::memcmp(&expected, data + i, sizeof expected), 0) << i;
      }
    }
    // Each rank sends the slices that are not its own, and its own to all others.
    const std::int64_t own = count / world + (group.rank() < count % world ? 1 : 0);
    EXPECT_EQ(group.bytes_sent() - before,
              2U * 4U * static_cast<std::uint64_t>(count - own + own * (world - 1)));
  });
}
INSTANTIATE_TEST_SUITE_P(Sizes, Collectives,
                         ::testing::Combine(::testing::Values(2, 3, 4),
                                            ::testing::Values(1, 3, 5000, 100003)));

TEST(ProcessGroup, OtherTypesBroadcastGatherAndBarrier) {
  run_ranks(3, [](Session& session) {
    ProcessGroup& group = session.group();
    const int rank = group.rank();
    const at::Tensor whole = at::full({5}, std::int64_t{1} << (20 * rank), at::kLong);
    group.all_reduce(whole, "int64");
    EXPECT_EQ(whole.data_ptr<std::int64_t>()[4], (1LL << 40) + (1LL << 20) + 1);
    const at::Tensor exact = at::full({2}, 0.1 * (rank + 1), at::kDouble);
    group.all_reduce(exact, "fp64");
    EXPECT_EQ(exact.data_ptr<double>()[1], 0.1 + 0.1 * 2 + 0.1 * 3);
    const at::Tensor chosen = at::full({4}, rank, at::kInt);
    group.broadcast(chosen, 1, "int32");
    EXPECT_EQ(chosen.data_ptr<int>()[3], 1);
    EXPECT_THAT(group.gather(rank * 10, "ranks"), ::testing::ElementsAre(0, 10, 20));
    group.barrier("all here");
    EXPECT_THROW(group.all_reduce(chosen, "int32"), Error);
    group.barrier("refused before anything was sent");
  });
}

TEST(ProcessGroup, OneRankNeedsNoNetwork) {
  const auto group = make_single_group();
  const at::Tensor tensor = at::full({2}, 3.0, at::kFloat);
  group->all_reduce(tensor, "alone");
  EXPECT_EQ(tensor.data_ptr<float>()[0], 3.0F);
  EXPECT_THAT(group->gather(7, "alone"), ::testing::ElementsAre(7));
  EXPECT_EQ(group->bytes_sent(), 0U);
}

// LibTorch exports Gloo's names too, of a version with other layouts.
TEST(ProcessGroup, GloosCallsLandInDebiansLibrary) {
  EXPECT_THAT(GlooMesh::library(), ::testing::HasSubstr("libgloo.so"));
}

TEST(ProcessGroup, RanksInDifferentCallsAreToldSoWhenDebugging) {
  const int port = test::free_port();
  test::Ranks ranks(2, [port](int rank) {
    ::setenv("WEFT_DEBUG_COLLECTIVES", "1", 1);
    Session session(test::launch_of(rank, 2, port), {std::chrono::seconds(5)});
    const at::Tensor tensor = at::full({rank == 0 ? 8 : 16}, 1.0, at::kFloat);
    session.group().all_reduce(tensor, rank == 0 ? "gradients" : "statistics");
  });
  for (const test::RankEnd& end : ranks.wait_all()) {
    EXPECT_EQ(end.exit_code, 70);
    EXPECT_THAT(end.error, ::testing::HasSubstr("all-reduce of 32 bytes for gradients"));
    EXPECT_THAT(end.error, ::testing::HasSubstr("all-reduce of 64 bytes for statistics"));
    EXPECT_LT(end.seconds, 3);
  }
}

}  // namespace
}  // namespace weft::distributed
