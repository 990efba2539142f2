// What the built program needs to run: no Python, and nothing from PATH.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>

namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Output {
  std::string text;
  int status = -1;
};

Output run(const std::string& command) {
  Output output;
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) {
    return output;
  }
  std::array<char, 4096> buffer{};
  while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
    output.text += buffer.data();
  }
  output.status = pclose(pipe);
  return output;
}

const std::string kWeft = "'" WEFT_PROGRAM "'";

TEST(Program, LinksNoPython) {
  const Output libraries = run("ldd " + kWeft);
  ASSERT_EQ(libraries.status, 0) << libraries.text;
  EXPECT_THAT(libraries.text, HasSubstr("libtorch_cpu.so"));
  EXPECT_THAT(libraries.text, Not(HasSubstr("python")));
  EXPECT_THAT(libraries.text, Not(HasSubstr("not found")));
}

TEST(Program, RunsWithAnEmptyEnvironment) {
  const Output version = run("/usr/bin/env -i PATH= " + kWeft + " --version");
  EXPECT_EQ(version.status, 0);
  EXPECT_THAT(version.text, StartsWith("weft " WEFT_VERSION));
}

}  // namespace
