#include "trainer/launch_watch.h"

#include <gtest/gtest.h>

namespace weft::trainer {
namespace {

// The step at which it says that the device waits for the host; 0: at none of 20.
int told_at(double launching, double waiting, std::int64_t passes) {
  LaunchWatch watch;
  int told = 0;
  for (int step = 1; step <= 20; ++step) {
    if (watch.add(launching, waiting, passes)) {
      EXPECT_EQ(told, 0) << "twice";
      told = step;
      EXPECT_DOUBLE_EQ(watch.launching_seconds(), launching);
    }
  }
  return told;
}

TEST(LaunchWatch, ADeviceThatIsDoneWithTheLastLaunchWaitedForTheHost) {
  EXPECT_EQ(told_at(0.050, 0.001, 1), 8);
  EXPECT_EQ(told_at(0.050, 0.0, 4), 8);
}

TEST(LaunchWatch, ADeviceWithWorkLeftDidNot) {
  EXPECT_EQ(told_at(0.050, 0.200, 1), 0);
  EXPECT_EQ(told_at(0.050, 0.010, 1), 0);
  // Sixteen passes: the host was held up by a full queue, and a third of a pass is left.
  EXPECT_EQ(told_at(1.6, 0.033, 16), 0);
}

TEST(LaunchWatch, OneBusyStepIsEnough) {
  LaunchWatch watch;
  for (int step = 1; step <= 20; ++step) {
    EXPECT_FALSE(watch.add(0.05, step == 6 ? 0.05 : 0.0, 1)) << step;
  }
}

TEST(LaunchWatch, TheFirstStepsDoNotCount) {
  LaunchWatch watch;
  int told = 0;
  for (int step = 1; step <= 20; ++step) {
    told += watch.add(step <= 3 ? 5.0 : 0.05, step <= 3 ? 5.0 : 0.0, 1) ? 1 : 0;
  }
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace weft::trainer
