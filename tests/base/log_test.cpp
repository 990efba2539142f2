#include "base/log.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "base/text.h"

namespace weft {
namespace {

using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::internal::CaptureStderr;
using ::testing::internal::GetCapturedStderr;

class LogTest : public ::testing::Test {
 protected:
  void TearDown() override { set_log_level(LogLevel::kInfo); }
};

TEST_F(LogTest, LinesCarryTheTimeAndTheLevel) {
  CaptureStderr();
  log_info("loss {:.2f}", 1.5);
  EXPECT_THAT(GetCapturedStderr(), MatchesRegex("[0-9]+:[0-9]+:[0-9]+ loss 1.50\n"));
  CaptureStderr();
  log_warning("low on {}", "disk");
  EXPECT_THAT(GetCapturedStderr(), MatchesRegex("[0-9:]+ warning: low on disk\n"));
  CaptureStderr();
  log_error("gone");
  EXPECT_THAT(GetCapturedStderr(), MatchesRegex("[0-9:]+ error: gone\n"));
}

TEST_F(LogTest, BracesInAMessageArePlainText) {
  CaptureStderr();
  log_line(LogLevel::kInfo, "{\"a\": {}} %v");
  EXPECT_THAT(GetCapturedStderr(), ::testing::EndsWith(" {\"a\": {}} %v\n"));
}

TEST_F(LogTest, LevelDropsWhatIsBelow) {
  CaptureStderr();
  log_debug("hidden");
  set_log_level(LogLevel::kError);
  log_info("hidden");
  log_warning("hidden");
  EXPECT_THAT(GetCapturedStderr(), IsEmpty());
  set_log_level(LogLevel::kDebug);
  CaptureStderr();
  log_debug("shown");
  EXPECT_THAT(GetCapturedStderr(), MatchesRegex("[0-9:]+ debug: shown\n"));
}

TEST_F(LogTest, ThreadsDoNotMixTheirLines) {
  CaptureStderr();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 200; ++i) {
        log_info("{}", std::string(100, static_cast<char>('a' + t)));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const std::string output = GetCapturedStderr();
  const std::vector<std::string_view> lines = split(output, '\n');
  ASSERT_EQ(lines.size(), 801U);
  for (std::size_t i = 0; i < 800; ++i) {
    const std::string_view body = lines[i].substr(9);
    ASSERT_EQ(body.size(), 100U);
    ASSERT_EQ(std::count(body.begin(), body.end(), body[0]), 100) << body;
  }
}

}  // namespace
}  // namespace weft
