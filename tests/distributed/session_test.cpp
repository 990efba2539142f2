// How ranks meet, and what becomes of those that are missing, doubled, different, or fail.

#include "distributed/session.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "tests/distributed/rank_testing.h"

namespace weft::distributed {
namespace {

using std::chrono::milliseconds;
using test::free_port;
using test::launch_of;
using test::RankEnd;
using test::Ranks;
using test::run_ranks;
using ::testing::HasSubstr;

void expect_end(const RankEnd& end, int code, std::initializer_list<const char*> parts,
                double limit = 3) {
  EXPECT_EQ(end.exit_code, code) << "signal " << end.signal << ": " << end.error;
  for (const char* part : parts) {
    EXPECT_THAT(end.error, HasSubstr(part));
  }
  EXPECT_LT(end.seconds, limit);
}

TEST(Session, RanksMeetAndKnowEachOther) {
  run_ranks(3, [](Session& session) {
    ASSERT_EQ(session.ranks().size(), 3U);
    for (int r = 0; r < 3; ++r) {
      EXPECT_EQ(session.ranks()[static_cast<std::size_t>(r)].rank, r);
    }
    EXPECT_EQ(session.ranks()[static_cast<std::size_t>(session.rank())].pid, ::getpid());
    session.compare({{"max_length", "24"}, {"base", "abc"}});
  });
}

TEST(Session, ValuesThatDifferAreNamedOnAllRanks) {
  const int port = free_port();
  Ranks ranks(3, [port](int rank) {
    Session session(launch_of(rank, 3, port), {milliseconds(5000)});
    session.compare({{"max_length", rank == 1 ? "48" : "24"}, {"base", rank == 1 ? "" : "abc"}});
  });
  for (const RankEnd& end : ranks.wait_all()) {
    expect_end(end, 2, {"rank 1: on ", "max_length: 48 here, 24 at rank 0", "base: nothing here"});
  }
}

TEST(Session, AMissingRankIsNamedAfterTheTimeout) {
  const int port = free_port();
  Ranks ranks(2,
              [port](int rank) { Session session(launch_of(rank, 3, port), {milliseconds(700)}); });
  for (const RankEnd& end : ranks.wait_all()) {
    EXPECT_EQ(end.exit_code, 5) << end.error;
    EXPECT_LT(end.seconds, 3);
  }
}

TEST(Session, RankZeroNamesWhoIsMissing) {
  const int port = free_port();
  Ranks ranks(1,
              [port](int rank) { Session session(launch_of(rank, 3, port), {milliseconds(300)}); });
  expect_end(ranks.wait(0), 5, {"1 of 3 ranks joined", "missing: rank 1, 2"});
}

TEST(Session, WithoutRankZeroThereIsNoRendezvous) {
  const int port = free_port();
  Ranks ranks(1, [port](int) { Session session(launch_of(1, 2, port), {milliseconds(500)}); });
  expect_end(ranks.wait(0), 5, {"rank 1 of 2 found no rendezvous at 127.0.0.1:"});
}

TEST(Session, TwoProcessesWithOneRankAreRefused) {
  const int port = free_port();
  Ranks ranks(3, [port](int process) {
    Session session(launch_of(process == 0 ? 0 : 1, 3, port), {milliseconds(5000)});
  });
  for (const RankEnd& end : ranks.wait_all()) {
    expect_end(end, 2, {"two processes say that they are rank 1 of 3", "pid"});
  }
}

TEST(Session, DifferentWorldSizesAreRefused) {
  const int port = free_port();
  Ranks ranks(2, [port](int rank) {
    Session session(launch_of(rank, 2 + rank, port), {milliseconds(5000)});
  });
  for (const RankEnd& end : ranks.wait_all()) {
    expect_end(end, 2, {"ranks, rank ", "start all of them with the same number"});
  }
}

TEST(Session, APortInUseIsSaid) {
  const int port = free_port();
  const int file = listen_on("127.0.0.1", port);
  Ranks ranks(
      1, [port](int rank) { Session session(launch_of(rank, 2, port), {milliseconds(5000)}); });
  expect_end(ranks.wait(0), 2, {"rank 0 can't listen on 127.0.0.1:", "is in use", "MASTER_PORT"});
  ::close(file);
}

TEST(Session, AProgramThatIsNoRendezvousIsGivenUpAfterTheTimeout) {
  const int port = free_port();
  const int file = listen_on("127.0.0.1", port);  // takes connections and never answers
  Ranks ranks(1, [port](int) { Session session(launch_of(1, 2, port), {milliseconds(600)}); });
  expect_end(ranks.wait(0), 5, {"rank 1 of 2 found no rendezvous"});
  ::close(file);
}

TEST(Session, AnAddressOfAnotherHostIsSaid) {
  Ranks ranks(1, [](int rank) {
    Launch launch = launch_of(rank, 2, 29999);
    launch.master_address = launch.bind_address = "192.0.2.1";  // for documentation, RFC 5737
    Session session(launch, {milliseconds(500)});
  });
  expect_end(ranks.wait(0), 2, {"192.0.2.1:29999", "none of this host's", "WEFT_BIND_ADDRESS"});
}

TEST(Session, TheRendezvousListensOnLoopbackAlone) {
  const int port = free_port();
  Ranks ranks(1,
              [port](int rank) { Session session(launch_of(rank, 2, port), {milliseconds(900)}); });
  std::this_thread::sleep_for(milliseconds(300));
  // Were 0.0.0.0 or this host's other addresses taken, this would fail.
  EXPECT_NO_THROW(::close(listen_on("127.0.0.2", port)));
  expect_end(ranks.wait(0), 5, {"1 of 2 ranks joined"});
}

// Connects to a port of loopback and sends `text`; the connection stays open.
int send_garbage(int port, const std::string& text) {
  const int file = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(file, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    [[maybe_unused]] const auto ignored = ::send(file, text.data(), text.size(), MSG_NOSIGNAL);
  }
  return file;
}

TEST(Session, GarbageAndHalfOpenConnectionsOnThePortDoNoHarm) {
  const int port = free_port();
  Ranks ranks(3, [port](int rank) {
    if (rank == 1) {
      std::this_thread::sleep_for(milliseconds(400));  // the garbage comes first
    }
    Session session(launch_of(rank, 3, port), {milliseconds(5000)});
    for (int i = 0; i < 20; ++i) {
      session.together("steps", [] { std::this_thread::sleep_for(milliseconds(10)); });
    }
  });
  std::this_thread::sleep_for(milliseconds(150));
  std::vector<int> open;
  const std::string huge(4096, '\xff');
  for (const std::string& text : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(), huge,
                                  std::string(64, '\0'), std::string("\x01\x02\x03")}) {
    open.push_back(send_garbage(port, text));
  }
  for (const RankEnd& end : ranks.wait_all()) {
    expect_end(end, 0, {});
  }
  for (const int file : open) {
    ::close(file);
  }
}

TEST(Session, AnErrorOnOneRankIsTheErrorOfAll) {
  const int port = free_port();
  Ranks ranks(3, [port](int rank) {
    Session session(launch_of(rank, 3, port), {milliseconds(5000)});
    session.together("saving", [rank] {
      if (rank > 0) {
        fail_data("out/model: no space left on rank {}", rank);
      }
    });
  });
  for (const RankEnd& end : ranks.wait_all()) {
    expect_end(end, 3, {"rank 1: out/model: no space left on rank 1 (and 1 other rank failed"});
  }
}

TEST(Session, RankZeroGoesFirstAndMayTakeLongerThanTheTimeout) {
  const int port = free_port();
  Ranks ranks(2, [port](int rank) {
    Session session(launch_of(rank, 2, port), {milliseconds(600)});
    session.main_first("data", [&session] {
      for (int i = 0; session.is_main() && i < 13; ++i) {
        std::this_thread::sleep_for(milliseconds(100));
        session.watchdog().tick();
      }
    });
  });
  for (const RankEnd& end : ranks.wait_all()) {
    expect_end(end, 0, {});
    EXPECT_GT(end.seconds, 1.3);
  }
}

TEST(Session, RankZeroFailingFirstIsTheErrorOfAll) {
  const int port = free_port();
  Ranks ranks(2, [port](int rank) {
    Session session(launch_of(rank, 2, port), {milliseconds(5000)});
    session.main_first("data", [] { fail_data("rows.jsonl:7: bad"); });
  });
  for (const RankEnd& end : ranks.wait_all()) {
    expect_end(end, 3, {"rank 0: rows.jsonl:7: bad"});
  }
}

// Ranks that go on for long; a fault ends them.
void long_run(int rank, int world, int port, milliseconds timeout) {
  Session session(launch_of(rank, world, port), {timeout});
  for (int step = 1; step < 100000; ++step) {
    session.watchdog().enter("gradients", step);
    session.group().barrier(session.watchdog().where());
    if (step == 1) {
      Ranks::say_running();
    }
    std::this_thread::sleep_for(milliseconds(2));
  }
}

class Lost : public ::testing::TestWithParam<int> {};

TEST_P(Lost, AKilledRankEndsTheOthersAtOnceAndIsNamed) {
  const int port = free_port();
  Ranks ranks(3, [port](int rank) { long_run(rank, 3, port, milliseconds(20000)); });
  ranks.wait_until_running();
  ranks.send(GetParam(), SIGKILL);
  const std::string name = "lost rank ";
  int named = 0;
  for (int rank = 0; rank < 3; ++rank) {
    const RankEnd end = ranks.wait(rank);
    if (rank != GetParam()) {
      expect_end(end, 5, {"lost rank ", "phase gradients", "step "}, 2);
      named += end.error.find(name + std::to_string(GetParam())) != std::string::npos ? 1 : 0;
    }
  }
  EXPECT_GE(named, 1);
}
INSTANTIATE_TEST_SUITE_P(Ranks, Lost, ::testing::Values(0, 1, 2));

TEST(Session, AStoppedRankEndsTheOthersAtTheTimeoutAndLeavesCleanlyItself) {
  const int port = free_port();
  Ranks ranks(2, [port](int rank) { long_run(rank, 2, port, milliseconds(800)); });
  ranks.wait_until_running();
  ranks.send(1, SIGSTOP);
  expect_end(ranks.wait(0), 5,
             {"rank 0 of 2: rank 1 has been silent for 0.8 s (ddp_timeout) in step "});
  ranks.send(1, SIGCONT);
  const RankEnd end = ranks.wait(1);
  EXPECT_EQ(end.exit_code, 5) << "signal " << end.signal;  // by an error and not by SIGPIPE
}

TEST(Session, ARankStuckOutsideAnyCollectiveIsEndedByItsOwnWatchdog) {
  const int port = free_port();
  Ranks ranks(2, [port](int rank) {
    Session session(launch_of(rank, 2, port), {milliseconds(500)});
    session.watchdog().enter("data", 3);
    if (rank == 1) {
      std::this_thread::sleep_for(std::chrono::seconds(60));
    }
    session.group().barrier(session.watchdog().where());
  });
  expect_end(ranks.wait(0), 5, {"rank 1 has been silent", "step 3, phase data"});
  const RankEnd stuck = ranks.wait(1);
  EXPECT_EQ(stuck.exit_code, 5);
  EXPECT_LT(stuck.seconds, 3);
}

}  // namespace
}  // namespace weft::distributed
