#include "distributed/background_gather.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "base/error.h"
#include "tests/distributed/rank_testing.h"
#include "tests/support/caught.h"

namespace weft::distributed {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;

class Gathers : public ::testing::TestWithParam<int> {};

TEST_P(Gathers, FillInTheOrderOfTheMembersWhileOtherExchangesGoOn) {
  const int world = GetParam();
  test::run_ranks(world, [&](Session& session) {
    std::vector<int> ranks;
    for (int r = 0; r < world; ++r) {
      ranks.push_back(r);
    }
    const auto gather = session.open_gather(ranks, "a test");
    EXPECT_EQ(gather->rank(), session.rank());
    EXPECT_EQ(gather->size(), world);
    const at::Tensor all = at::empty({5 * world}, at::kFloat);
    for (int round = 0; round < 3; ++round) {
      const at::Tensor mine = at::full({5}, 10.0 * round + session.rank(), at::kFloat);
      gather->start(mine, all, "a test");
      EXPECT_EQ(session.group().gather(session.rank(), "beside it").back(), world - 1);
      gather->wait();
      for (int r = 0; r < world; ++r) {
        EXPECT_EQ(all.data_ptr<float>()[5 * r + 4],
                  10.0F * static_cast<float>(round) + static_cast<float>(r));
      }
    }
    EXPECT_EQ(gather->bytes_sent(), 3U * 20U * static_cast<std::uint64_t>(world - 1));
  });
}
TEST_P(Gathers, ExchangeTheBlocksOfEachForThoseOfAll) {
  const int world = GetParam();
  test::run_ranks(world, [&](Session& session) {
    std::vector<int> ranks(static_cast<std::size_t>(world));
    std::iota(ranks.begin(), ranks.end(), 0);
    const auto gather = session.open_gather(ranks, "a test");
    const at::Tensor mine = at::empty({world, 3}, at::kDouble);
    const at::Tensor received = at::empty({world, 3}, at::kDouble);
    for (int round = 0; round < 2; ++round) {
      for (int to = 0; to < world; ++to) {
        mine.select(0, to).fill_(100 * round + 10 * session.rank() + to);
      }
      gather->start_exchange(mine, received, "a test");
      gather->wait();
      for (int from = 0; from < world; ++from) {
        EXPECT_EQ(received.data_ptr<double>()[3 * from + 2],
                  100 * round + 10 * from + session.rank());
      }
    }
    EXPECT_EQ(gather->bytes_sent(), 2U * 24U * static_cast<std::uint64_t>(world - 1));
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, Gathers, ::testing::Values(2, 3, 4));

TEST(BackgroundGather, ThoseOfOnePurposeAreOpenedWhateverElseARankHasOpened) {
  test::run_ranks(3, [](Session& session) {
    const auto other = session.rank() == 2 ? nullptr : session.open_gather({0, 1}, "another");
    const auto gather = session.open_gather({0, 1, 2}, "a test");
    const at::Tensor all = at::empty({3}, at::kInt);
    gather->start(at::full({1}, session.rank(), at::kInt), all, "a test");
    gather->wait();
    EXPECT_EQ(all.data_ptr<int>()[2], 2);
  });
}

TEST(BackgroundGather, WhereOneAbortsAllKnowAtOnce) {
  const auto began = std::chrono::steady_clock::now();
  test::run_ranks(3, [](Session& session) {
    const auto gather = session.open_gather({0, 1, 2}, "a test");
    const at::Tensor all = at::empty({3}, at::kInt);
    if (session.rank() == 1) {
      gather->abort();
      (void)session.group().gather(0, "the end");
      return;
    }
    gather->start(at::full({1}, 1, at::kInt), all, "step 7");
    const Error error = test::caught([&] { gather->wait(); });
    gather->abort();  // or one that has not heard of it would wait for this one
    EXPECT_EQ(error.kind(), ErrorKind::kPeer);
    EXPECT_THAT(error.what(), ContainsRegex("lost rank . in step 7"));
    (void)session.group().gather(0, "the end");
  });
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

TEST(BackgroundGather, PartsOfTheRanksGatherApart) {
  test::run_ranks(4, [](Session& session) {
    const int first = session.rank() / 2 * 2;
    const auto gather = session.open_gather({first, first + 1}, "a test");
    const at::Tensor all = at::empty({2}, at::kInt);
    gather->start(at::full({1}, session.rank(), at::kInt), all, "a test");
    gather->wait();
    EXPECT_EQ(all.data_ptr<int>()[0], first);
    EXPECT_EQ(all.data_ptr<int>()[1], first + 1);
  });
}

TEST(BackgroundGather, OneAtATimeAndOfFittingSizes) {
  test::run_ranks(2, [](Session& session) {
    const auto gather = session.open_gather({0, 1}, "a test");
    const at::Tensor mine = at::full({3}, 1, at::kInt);
    const at::Tensor all = at::empty({6}, at::kInt);
    EXPECT_THAT(test::caught([&] { gather->start(mine, at::empty({5}, at::kInt), "a"); }).what(),
                HasSubstr("12 bytes into 20"));
    gather->start(mine, all, "a");
    EXPECT_THAT(test::caught([&] { gather->start(mine, all, "b"); }).what(),
                HasSubstr("while another runs"));
    gather->wait();
  });
}

TEST(BackgroundGather, ALostMemberIsNamedByItsNumberInTheRun) {
  const int port = test::free_port();
  test::Ranks ranks(3, [&](int rank) {
    SessionOptions options;
    options.timeout = std::chrono::seconds(10);
    Session session(test::launch_of(rank, 3, port), options);
    if (rank == 0) {
      std::this_thread::sleep_for(std::chrono::seconds(30));  // no member; killed in the end
    }
    const auto gather = session.open_gather({1, 2}, "a test");
    if (rank == 2) {
      ::raise(SIGKILL);
    }
    const at::Tensor all = at::empty({2}, at::kInt);
    gather->start(at::full({1}, rank, at::kInt), all, "step 7, layer 3");
    gather->wait();
  });
  EXPECT_EQ(ranks.wait(2).signal, SIGKILL);
  const test::RankEnd end = ranks.wait(1);
  EXPECT_EQ(end.exit_code, 5);
  EXPECT_THAT(end.error, HasSubstr("rank 1 of 3 lost rank 2 in step 7, layer 3"));
}

TEST(BackgroundGather, RanksInDifferentGathersAreNamedWhereThatIsLookedFor) {
  ::setenv("WEFT_DEBUG_COLLECTIVES", "1", 1);
  test::run_ranks(2, [](Session& session) {
    const auto gather = session.open_gather({0, 1}, "a test");
    const at::Tensor all = at::empty({2}, at::kInt);
    gather->start(at::full({1}, 1, at::kInt), all, fmt::format("layer {}", 4 + session.rank()));
    const Error error = test::caught([&] { gather->wait(); });
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_THAT(error.what(), HasSubstr("layer 4"));
    EXPECT_THAT(error.what(), HasSubstr("layer 5"));
  });
  ::unsetenv("WEFT_DEBUG_COLLECTIVES");
}

}  // namespace
}  // namespace weft::distributed
