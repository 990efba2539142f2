#include "distributed/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace weft::distributed {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

TEST(Watchdog, AStuckPhaseIsNamedWithItsStep) {
  std::promise<std::string> report;
  Watchdog watchdog("rank 1 of 2", milliseconds(50),
                    [&](const std::string& text) { report.set_value(text); });
  watchdog.enter("saving", 12);
  std::future<std::string> found = report.get_future();
  ASSERT_EQ(found.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_THAT(found.get(),
              HasSubstr("rank 1 of 2: step 12, phase saving made no progress for 0.1"));
}

TEST(Watchdog, ProgressAndNewPhasesKeepItQuiet) {
  bool expired = false;
  {
    Watchdog watchdog("rank 0", milliseconds(2000), [&](const std::string&) { expired = true; });
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(milliseconds(5));
      i % 2 == 0 ? watchdog.tick() : watchdog.enter("step", i);
    }
    EXPECT_EQ(watchdog.where(), "step 19, phase step");
  }
  EXPECT_FALSE(expired);
}

TEST(Watchdog, WhoIsToldToStopAndDoesNotIsNamedAfterTheGrace) {
  std::promise<std::string> report;
  std::atomic<bool> told = false;
  Watchdog watchdog("rank 1 of 2", milliseconds(0),
                    [&](const std::string& text) { report.set_value(text); });
  watchdog.enter("step", 3);
  watchdog.stop_after([&] { return told.load(); }, milliseconds(100));
  std::future<std::string> found = report.get_future();
  EXPECT_EQ(found.wait_for(milliseconds(200)), std::future_status::timeout) << "nobody told it";
  told = true;
  for (int i = 0; found.wait_for(milliseconds(5)) != std::future_status::ready; ++i) {
    ASSERT_LT(i, 2000);
    watchdog.tick();  // progress is no excuse
  }
  EXPECT_EQ(found.get(),
            "rank 1 of 2: told to stop 0.1 s ago (stop_timeout) and still in step 3, phase step; "
            "leaving without saving");
}

TEST(Watchdog, WhoStopsWithinTheGraceIsLeftAlone) {
  bool expired = false;
  {
    Watchdog watchdog("rank 0", milliseconds(0), [&](const std::string&) { expired = true; });
    watchdog.stop_after([] { return true; }, std::chrono::seconds(60));
    std::this_thread::sleep_for(milliseconds(30));
  }
  EXPECT_FALSE(expired);
}

TEST(Watchdog, ALimitOfZeroIsNone) {
  Watchdog watchdog("rank 0", milliseconds(0), [](const std::string&) { FAIL(); });
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(watchdog.where(), "phase setup");
}

}  // namespace
}  // namespace weft::distributed
