#include "trainer/restarts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "tests/support/temp_folder.h"

namespace weft::trainer {
namespace {

class Restarts : public ::testing::Test {
 protected:
  // Whether a start is let through.
  bool start(int restart_count) {
    try {
      count_restart(posix_file_system(), temp_ / "", restart_count, 2);
      return true;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kRestartLimit);
      EXPECT_THAT(error.what(), ::testing::HasSubstr("max_restarts_without_progress: 2"));
      return false;
    }
  }
  void checkpoint(const char* name) { fs::create_directories(temp_ / name); }

  test::TempFolder temp_;
};

TEST_F(Restarts, WithoutANewCheckpointTheyEndAtTheLimit) {
  EXPECT_TRUE(start(0));
  EXPECT_FALSE(fs::exists(temp_ / "restarts.json"));
  EXPECT_TRUE(start(1));
  EXPECT_TRUE(start(2));
  EXPECT_FALSE(start(3));
  EXPECT_FALSE(start(4));
}

TEST_F(Restarts, ANewCheckpointOrAPersonBeginsTheCountAnew) {
  EXPECT_TRUE(start(1));
  EXPECT_TRUE(start(2));
  checkpoint("checkpoint-000004");
  EXPECT_TRUE(start(3));
  EXPECT_TRUE(start(4));
  EXPECT_FALSE(start(5));
  EXPECT_TRUE(start(0));
  EXPECT_TRUE(start(1));
}

TEST_F(Restarts, ATornFileCountsAsNone) {
  std::ofstream(temp_ / "restarts.json") << "{\"step\": 0, ";
  EXPECT_TRUE(start(1));
  EXPECT_TRUE(start(2));
  forget_restarts(posix_file_system(), temp_ / "");
  EXPECT_FALSE(fs::exists(temp_ / "restarts.json"));
  EXPECT_NO_THROW(forget_restarts(posix_file_system(), temp_ / ""));
}

}  // namespace
}  // namespace weft::trainer
