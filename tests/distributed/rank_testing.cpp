#include "tests/distributed/rank_testing.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <new>
#include <thread>

#include "base/error.h"

namespace weft::test {
namespace {

// Runs in the child; what it writes into the pipe is RankEnd::error.
[[noreturn]] void be_rank(int rank, int pipe, const std::function<void(int)>& body) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_IGN);
  int code = 0;
  std::string text;
  try {
    body(rank);
    if (::testing::Test::HasFailure()) {
      code = 1;
      text = "an expectation failed; see above";
    }
  } catch (const Error& error) {
    code = error.exit_code();
    text = error.what();
  } catch (const std::exception& error) {
    code = 1;
    text = error.what();
  }
  [[maybe_unused]] const auto ignored = ::write(pipe, text.data(), text.size());
  ::fflush(nullptr);
  ::_exit(code);
}

}  // namespace

int free_port() {
  const int file = distributed::listen_on("127.0.0.1", 0);
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ::getsockname(file, reinterpret_cast<sockaddr*>(&address), &length);
  ::close(file);
  return ntohs(address.sin_port);
}

distributed::Launch launch_of(int rank, int world, int port) {
  distributed::Launch launch;
  launch.launcher = "torchrun";
  launch.rank = launch.local_rank = rank;
  launch.world_size = launch.local_world_size = world;
  launch.master_port = port;
  return launch;
}

// Shared with the forked ranks.
std::atomic<int>& Ranks::running() {
  static auto* const count = new (::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                                         MAP_SHARED | MAP_ANONYMOUS, -1, 0)) std::atomic<int>(0);
  return *count;
}

void Ranks::say_running() { ++running(); }

void Ranks::wait_until_running() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (running() < static_cast<int>(children_.size())) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "the ranks do not come to run";
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  began_ = std::chrono::steady_clock::now();
}

Ranks::Ranks(int world, const std::function<void(int rank)>& body) {
  running() = 0;
  ::fflush(nullptr);
  for (int rank = 0; rank < world; ++rank) {
    int ends[2];
    if (::pipe(ends) != 0) {
      throw std::runtime_error("no pipe");
    }
    const pid_t id = ::fork();
    if (id == 0) {
      ::close(ends[0]);
      be_rank(rank, ends[1], body);
    }
    ::close(ends[1]);
    children_.push_back({id, ends[0], false});
  }
}

Ranks::~Ranks() {
  for (Child& child : children_) {
    if (!child.reaped) {
      ::kill(child.id, SIGKILL);
      ::waitpid(child.id, nullptr, 0);
    }
    ::close(child.pipe);
  }
}

void Ranks::send(int rank, int signal) const {
  ::kill(children_.at(static_cast<std::size_t>(rank)).id, signal);
}

RankEnd Ranks::wait(int rank) {
  Child& child = children_.at(static_cast<std::size_t>(rank));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  int status = 0;
  while (::waitpid(child.id, &status, WNOHANG) != child.id) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "rank " << rank << " still runs";
      ::kill(child.id, SIGKILL);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  child.reaped = true;
  RankEnd end;
  end.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  char buffer[4096];
  const auto size = ::read(child.pipe, buffer, sizeof buffer);
  end.error.assign(buffer, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return end;
}

std::vector<RankEnd> Ranks::wait_all() {
  std::vector<RankEnd> ends;
  for (std::size_t rank = 0; rank < children_.size(); ++rank) {
    ends.push_back(wait(static_cast<int>(rank)));
  }
  return ends;
}

void run_ranks(int world, const std::function<void(distributed::Session&)>& body) {
  const int port = free_port();
  Ranks ranks(world, [&](int rank) {
    distributed::SessionOptions options;
    options.timeout = std::chrono::seconds(10);
    distributed::Session session(launch_of(rank, world, port), options);
    body(session);
    session.group().barrier("the end");
  });
  for (const RankEnd& end : ranks.wait_all()) {
    EXPECT_EQ(end.exit_code, 0) << end.error;
  }
}

}  // namespace weft::test
