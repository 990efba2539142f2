#include "trainer/signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weft::trainer {
namespace {

/// Runs `body` in a child process; what waitpid says of it. The child is quiet.
template <typename Body>
int in_child(Body&& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(STDERR_FILENO);
    body();
    ::_exit(0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

TEST(Signals, FirstOneOnlySetsTheFlag) {
  for (const int number : {SIGTERM, SIGINT}) {
    const int status = in_child([number] {
      const StopSignals signals;
      if (StopSignals::requested()) ::_exit(1);
      ::raise(number);
      ::_exit(StopSignals::requested() && StopSignals::number() == number ? 0 : 2);
    });
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0) << number;
  }
}

TEST(Signals, SecondOneEndsTheProcess) {
  const int status = in_child([] {
    const StopSignals signals;
    ::raise(SIGTERM);
    ::raise(SIGINT);
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGINT);
}

TEST(Signals, ClosedPipeIsAnErrorOfTheWrite) {
  const int status = in_child([] {
    const StopSignals signals;
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(1);
    ::close(ends[0]);
    ::_exit(::write(ends[1], "x", 1) == -1 && errno == EPIPE ? 0 : 2);
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Signals, DestructorRestoresWhatWasThere) {
  const int status = in_child([] {
    { const StopSignals signals; }
    ::raise(SIGTERM);
  });
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGTERM);
}

TEST(Signals, NewOneForgetsAnEarlierSignal) {
  const int status = in_child([] {
    {
      const StopSignals first;
      ::raise(SIGTERM);
    }
    const StopSignals second;
    ::_exit(StopSignals::requested() ? 1 : 0);
  });
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace weft::trainer
