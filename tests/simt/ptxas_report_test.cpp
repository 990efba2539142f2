// What ptxas said when nvcc compiled the kernels: nothing may live in local memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

namespace {

struct Report {
  int functions = 0;
  std::vector<std::string> problems;  ///< lines that tell of a stack frame, or of spills
};

Report read_report(const std::string& text) {
  static const std::regex kLine(
      R"((\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads)");
  Report report;
  for (std::sregex_iterator line(text.begin(), text.end(), kLine), end; line != end; ++line) {
    ++report.functions;
    if ((*line)[1] != "0" || (*line)[2] != "0" || (*line)[3] != "0") {
      report.problems.push_back(line->str());
    }
  }
  return report;
}

TEST(PtxasReport, OfEveryKernelTellsOfNoSpillAndNoStackFrame) {
  int kernels = 0;
  const std::filesystem::path sources = std::filesystem::path(WEFT_SOURCE_DIR) / "kernels/cuda";
  for (const auto& entry : std::filesystem::directory_iterator(sources)) {
    if (entry.path().extension() != ".cu") {
      continue;
    }
    ++kernels;
    const auto path =
        std::filesystem::path(WEFT_PTXAS_REPORTS) / entry.path().stem().replace_extension(".ptxas");
    std::ifstream in(path);
    ASSERT_TRUE(in) << path << " is missing";
    const Report report =
        read_report({std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()});
    EXPECT_GT(report.functions, 0) << path;
    EXPECT_THAT(report.problems, ::testing::IsEmpty()) << path;
  }
  EXPECT_GT(kernels, 0);
}

TEST(PtxasReport, WithASpillIsNoticed) {
  const Report report = read_report(
      "ptxas info    : Function properties for one\n"
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Function properties for two\n"
      "    16 bytes stack frame, 8 bytes spill stores, 0 bytes spill loads\n");
  EXPECT_EQ(report.functions, 2);
  EXPECT_THAT(report.problems, ::testing::ElementsAre(::testing::HasSubstr("16 bytes stack")));
}

}  // namespace
