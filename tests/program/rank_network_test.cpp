// Two ranks in network namespaces of their own, with a cable between them that can be cut. Needs
// root; skipped, and counted as skipped, elsewhere.

#include <unistd.h>

#include <csignal>
#include <thread>

#include "tests/program/rank_program.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

class RankNetwork : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!run({"ip", "netns", "add", name(0)}) || !run({"ip", "netns", "add", name(1)}) ||
        !run({"ip", "link", "add", "eth0", "netns", name(0), "type", "veth", "peer", "name", "eth0",
              "netns", name(1)})) {
      GTEST_SKIP() << "needs root: network namespaces";
    }
    for (int side = 0; side < 2; ++side) {
      const std::string address = fmt::format("10.77.0.{}/24", side + 1);
      ASSERT_TRUE(run({"ip", "-n", name(side), "address", "add", address, "dev", "eth0"}));
      ASSERT_TRUE(run({"ip", "-n", name(side), "link", "set", "lo", "up"}));
      ASSERT_TRUE(run({"ip", "-n", name(side), "link", "set", "eth0", "up"}));
    }
  }
  void TearDown() override {
    for (int side = 0; side < 2; ++side) {
      run({"ip", "netns", "del", name(side)});
    }
  }

  static bool run(const std::vector<std::string>& command) {
    return run_process(command).exit_code == 0;
  }
  static std::string name(int side) { return fmt::format("weft-{}-{}", ::getpid(), side); }
  // Down at one side, the cable carries nothing either way.
  static void cut() { run({"ip", "-n", name(0), "link", "set", "eth0", "down"}); }
  static void mend() { run({"ip", "-n", name(0), "link", "set", "eth0", "up"}); }

  std::vector<std::string> command(int rank, const fs::path& out, double timeout) {
    std::vector<std::string> words{"ip",
                                   "netns",
                                   "exec",
                                   name(rank),
                                   "env",
                                   fmt::format("RANK={}", rank),
                                   "WORLD_SIZE=2",
                                   "MASTER_ADDR=10.77.0.1",
                                   "MASTER_PORT=29500",
                                   WEFT_PROGRAM};
    const auto arguments =
        train_arguments(out, {"max_steps=150", "save_steps=1000", "report_to=none",
                              fmt::format("ddp_timeout={}", timeout)});
    words.insert(words.end(), arguments.begin(), arguments.end());
    return words;
  }

  std::string adapter(const fs::path& out) {
    return content(out / "final/adapter_model.safetensors");
  }

  // The same run with nothing in its way.
  std::string undisturbed() {
    Process first(command(0, temp_ / "quiet", 20));
    Process second(command(1, temp_ / "quiet", 20));
    EXPECT_EQ(first.wait().exit_code, 0);
    EXPECT_EQ(second.wait().exit_code, 0);
    return adapter(temp_ / "quiet");
  }

  TempFolder temp_;
};

TEST_F(RankNetwork, ACutLongerThanTheTimeoutEndsBothSides) {
  Process first(command(0, temp_ / "out", 1));
  Process second(command(1, temp_ / "out", 1));
  ASSERT_TRUE(wait_for_steps(first, temp_ / "out", 3));
  cut();
  for (Process* rank : {&first, &second}) {
    const ProcessResult result = rank->wait();
    EXPECT_EQ(result.exit_code, 5) << "signal " << result.signal << "\n" << result.err;
    EXPECT_THAT(result.err, HasSubstr("has been silent for 1.0 s (ddp_timeout)"));
  }
}

TEST_F(RankNetwork, AShorterCutChangesNothing) {
  Process first(command(0, temp_ / "out", 20));
  Process second(command(1, temp_ / "out", 20));
  ASSERT_TRUE(wait_for_steps(first, temp_ / "out", 3));
  cut();
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  mend();
  EXPECT_EQ(first.wait().exit_code, 0);
  EXPECT_EQ(second.wait().exit_code, 0);
  EXPECT_EQ(adapter(temp_ / "out"), undisturbed());
}

TEST_F(RankNetwork, DelaysAndLossChangeNothing) {
  if (!run({"tc", "-n", name(0), "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "1ms",
            "loss", "5%"})) {
    GTEST_SKIP() << "needs tc with netem";
  }
  Process first(command(0, temp_ / "out", 20));
  Process second(command(1, temp_ / "out", 20));
  EXPECT_EQ(first.wait().exit_code, 0);
  EXPECT_EQ(second.wait().exit_code, 0);
  run({"tc", "-n", name(0), "qdisc", "del", "dev", "eth0", "root"});
  EXPECT_EQ(adapter(temp_ / "out"), undisturbed());
}

}  // namespace
}  // namespace weft::test
