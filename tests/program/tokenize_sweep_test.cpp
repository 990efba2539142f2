// weft tokenize killed, or refused by the disk, at every call that changes the disk: the next run
// goes on and ends with the same bytes as one that nothing happened to.

#include <map>
#include <sstream>

#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

class TokenizeSweep : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!can_trace()) {
      GTEST_SKIP() << "strace cannot trace here";
    }
    std::string rows;
    for (int i = 0; i < 12; ++i) {
      rows += fmt::format("row {} of the text\n", i);
    }
    put(temp_ / "rows.txt", rows);
    ASSERT_EQ(weft(tokenize("whole")).exit_code, 0);
    expected_ = contents(temp_ / "whole");
    ASSERT_GE(expected_.size(), 5u);  // three shards, their list and the report
  }

  std::vector<std::string> tokenize(const std::string& out) {
    const fs::path config = temp_ / (out + ".yaml");
    put(config, fmt::format("model_name_or_path: {}\ndatasets: [{}]\noutput_dir: {}\n"
                            "shard_tokens: 60\n",
                            (fixtures() / "tokenizer/tiny_bpe").string(),
                            (temp_ / "rows.txt").string(), (temp_ / "work" / out).string()));
    return {"tokenize", config.string(), "output_dir=" + folder_of(out).string()};
  }

  [[nodiscard]] fs::path folder_of(const std::string& out) const {
    return out == "whole" ? temp_ / out : temp_ / "work" / out;
  }

  static std::map<std::string, std::string> contents(const fs::path& folder) {
    std::map<std::string, std::string> all;
    for (const auto& entry : fs::directory_iterator(folder)) {
      all[entry.path().filename().string()] = content(entry.path());
    }
    return all;
  }

  ProcessResult traced(const std::string& inject) {
    const std::vector<std::string> command = tokenize("shards");
    fs::remove_all(temp_ / "work");
    return weft_traced(temp_ / "trace", GetParam(), inject, command);
  }

  int count() {
    EXPECT_EQ(traced("").exit_code, 0);
    std::istringstream lines(content(temp_ / "trace"));
    int calls = 0;
    for (std::string line; std::getline(lines, line);) {
      calls += static_cast<int>(line.find(fmt::format(" {}(", GetParam())) != std::string::npos);
    }
    return calls;
  }

  // The next run ends with the shards and leaves nothing beside them.
  void expect_recovery(const std::string& when) {
    const ProcessResult next = weft(tokenize("shards"));
    EXPECT_EQ(next.exit_code, 0) << when << "\n" << next.err;
    EXPECT_EQ(contents(folder_of("shards")), expected_) << when;
    EXPECT_EQ(std::distance(fs::directory_iterator(temp_ / "work"), fs::directory_iterator()), 1)
        << when;
    resumed_ += next.err.find("going on after") != std::string::npos ? 1 : 0;
  }

  TempFolder temp_;
  std::map<std::string, std::string> expected_;
  int resumed_ = 0;
};

TEST_P(TokenizeSweep, KilledAtAnyCallTheNextRunEndsTheSame) {
  const int calls = count();
  ASSERT_GT(calls, 0);
  for (int call = 1; call <= calls; ++call) {
    const ProcessResult killed = traced(fmt::format("signal=KILL:when={}", call));
    ASSERT_NE(killed.exit_code, 0) << "not killed at call " << call;
    expect_recovery(fmt::format("killed at call {} of {}", call, calls));
  }
  EXPECT_GT(resumed_, 0);
}

TEST_P(TokenizeSweep, RefusedAtAnyCallItSaysSoAndTheNextEndsTheSame) {
  const int calls = count();
  int refused = 0;
  for (int call = 1; call <= calls; ++call) {
    const ProcessResult result = traced(fmt::format("error=ENOSPC:when={}", call));
    if (result.exit_code != 0) {
      ++refused;
      EXPECT_EQ(result.exit_code, 3) << result.err;
      EXPECT_THAT(result.err, HasSubstr("No space left on device"));
    }
    expect_recovery(fmt::format("{} fails at call {} of {}", GetParam(), call, calls));
  }
  EXPECT_GT(refused, 0);
}
INSTANTIATE_TEST_SUITE_P(Calls, TokenizeSweep, ::testing::Values("write", "fsync", "rename"),
                         [](const auto& call) { return std::string(call.param); });

}  // namespace
}  // namespace weft::test
