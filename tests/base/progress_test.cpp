#include "base/progress.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <pty.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

#include "base/log.h"

namespace weft {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Standard error is a terminal of `columns` columns while this lives.
class Terminal {
 public:
  explicit Terminal(unsigned short columns) {
    winsize size{};
    size.ws_col = columns;
    size.ws_row = 24;
    int slave = -1;
    if (openpty(&master_, &slave, nullptr, nullptr, &size) != 0) {
      throw std::runtime_error("openpty failed");
    }
    std::fflush(stderr);
    saved_ = dup(STDERR_FILENO);
    dup2(slave, STDERR_FILENO);
    ::close(slave);
    fcntl(master_, F_SETFL, O_NONBLOCK);
  }
  ~Terminal() {
    dup2(saved_, STDERR_FILENO);
    ::close(saved_);
    ::close(master_);
  }

  /// What was written since the last call.
  std::string output() {
    std::string text;
    char buffer[4096];
    for (ssize_t count = 0; (count = ::read(master_, buffer, sizeof(buffer))) > 0;) {
      text.append(buffer, static_cast<std::size_t>(count));
    }
    return text;
  }

 private:
  int master_ = -1;
  int saved_ = -1;
};

void wait_for_redraw() { std::this_thread::sleep_for(std::chrono::milliseconds(110)); }

TEST(ProgressLine, IsSilentInAPipe) {
  ::testing::internal::CaptureStderr();
  {
    ProgressLine line("train", 10, "tokens");
    line.update(5, "loss 1.0");
    line.finish();
  }
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), IsEmpty());
}

TEST(ProgressLine, ShowsPartRateTimeLeftAndNote) {
  Terminal terminal(100);
  ProgressLine line("train", 200, "tokens");
  wait_for_redraw();
  line.update(84, "loss 1.234");
  const std::string text = terminal.output();
  EXPECT_THAT(text, HasSubstr("\r\x1b[Ktrain   42%  "));
  EXPECT_THAT(text, HasSubstr(" tokens/s  ETA 0:"));
  EXPECT_THAT(text, EndsWith("  loss 1.234"));
  line.finish();
  EXPECT_EQ(terminal.output(), "\r\x1b[K");
  line.finish();
  EXPECT_EQ(terminal.output(), "");
}

TEST(ProgressLine, UnknownTotalShowsTheCount) {
  Terminal terminal(100);
  ProgressLine line("read", 0, "rows");
  line.update(1500);
  const std::string text = terminal.output();
  EXPECT_THAT(text, HasSubstr("read  1.50k rows"));
  EXPECT_THAT(text, Not(HasSubstr("ETA")));
  EXPECT_THAT(text, Not(HasSubstr("%")));
}

TEST(ProgressLine, RateCountsFromTheStartOfThisRun) {
  Terminal terminal(100);
  ProgressLine line("train", 2'000'000, "steps");
  line.start_from(1'000'000);
  wait_for_redraw();
  line.update(1'000'001);
  const std::string text = terminal.output();
  EXPECT_THAT(text, HasSubstr("train   50%"));
  // One step in more than 0.11 s; counted from zero it would be millions a second.
  EXPECT_THAT(text, ::testing::ContainsRegex("  [0-9] steps/s"));
}

TEST(ProgressLine, RedrawsAtMostTenTimesASecond) {
  Terminal terminal(100);
  const auto start = std::chrono::steady_clock::now();
  ProgressLine line("x", 1'000'000, "steps");
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    line.update(i);
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  const std::string text = terminal.output();
  std::size_t draws = 0;
  for (std::size_t at = text.find('\r'); at != text.npos; at = text.find('\r', at + 1)) {
    ++draws;
  }
  EXPECT_GE(draws, 1U);
  EXPECT_LE(static_cast<double>(draws), taken.count() * 10 + 1);
}

TEST(ProgressLine, IsCutToTheTerminal) {
  Terminal terminal(20);
  ProgressLine line("ééééééééééé", 10, "steps");
  line.update(5, "a long note that does not fit");
  EXPECT_THAT(terminal.output(), EndsWith("\x1b[Kééééééééééé   50%  "));  // 19 columns
}

TEST(ProgressLine, LogLinesAreSetAboveIt) {
  Terminal terminal(100);
  ProgressLine line("train", 10, "steps");
  line.update(0, "note");
  (void)terminal.output();
  log_info("saved");
  const std::string text = terminal.output();
  EXPECT_EQ(text.substr(0, 4), "\r\x1b[K");
  EXPECT_THAT(text, EndsWith(" saved\r\ntrain    0%  note"));
}

}  // namespace
}  // namespace weft
