// The rules of CONTRIBUTING.md that a program can check, on every source file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "rules.h"
#include "source_files.h"

namespace weft::style {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<SourceFile>& sources() {
  static const std::vector<SourceFile> kSources = read_sources(WEFT_SOURCE_DIR);
  return kSources;
}

template <typename Rule>
std::vector<std::string> violations(Rule rule) {
  std::vector<std::string> all;
  for (const SourceFile& file : sources()) {
    const auto problems = rule(file);
    all.insert(all.end(), problems.begin(), problems.end());
  }
  return all;
}

SourceFile with_include(const char* path, const char* include) {
  return parse_source(path, std::string("#pragma once\n\n#include ") + include + "\n");
}

TEST(Layers, IncludesPointDown) { EXPECT_THAT(violations(check_layers), IsEmpty()); }

TEST(Layers, AnArrowThatPointsUpIsFound) {
  EXPECT_THAT(
      check_layers(with_include("data/chat.h", "\"model/qwen3_config.h\"")),
      ElementsAre("data/chat.h:3: includes model/qwen3_config.h, but model/ is not below data/"));
  EXPECT_THAT(check_layers(with_include("data/chat.cpp", "\"kernels/gemm.h\"")),
              ElementsAre(HasSubstr("kernels/ is not below data/")));
  EXPECT_THAT(check_layers(with_include("base/text.cpp", "\"tests/support/caught.h\"")),
              ElementsAre(HasSubstr("a test's file")));
}

TEST(Layers, ArrowsThatPointDownAreAllowed) {
  EXPECT_THAT(check_layers(with_include("cli/main.cpp", "\"base/error.h\"")), IsEmpty());
  EXPECT_THAT(check_layers(with_include("model/dtype.h", "\"model/presets.h\"")), IsEmpty());
  EXPECT_THAT(check_layers(with_include("tests/data/chat_test.cpp", "\"data/chat.h\"")), IsEmpty());
}

TEST(Torch, IsIncludedPerOperator) { EXPECT_THAT(violations(check_torch_includes), IsEmpty()); }

TEST(Torch, UmbrellaHeadersAreFound) {
  EXPECT_THAT(check_torch_includes(with_include("model/a.cpp", "<torch/torch.h>")),
              ElementsAre(HasSubstr("model/a.cpp:3: includes torch/torch.h")));
  EXPECT_THAT(check_torch_includes(with_include("data/a.h", "<ATen/core/Tensor.h>")),
              ElementsAre("data/a.h:3: a header of data/ includes ATen/core/Tensor.h"));
  EXPECT_THAT(check_torch_includes(with_include("model/a.h", "<ATen/core/Tensor.h>")), IsEmpty());
}

TEST(Text, HasNoUnfinishedWork) { EXPECT_THAT(violations(check_text), IsEmpty()); }

TEST(Text, UnfinishedWorkIsFound) {
  const std::string note = std::string("int a;  // TO") + "DO: later\n";
  EXPECT_THAT(check_text(parse_source("base/a.cpp", note)),
              ElementsAre(HasSubstr("base/a.cpp:1: notes unfinished work")));
  EXPECT_THAT(check_text(parse_source("base/a.h", "int a;\n")),
              ElementsAre("base/a.h:1: a header without #pragma once"));
}

TEST(Length, NoFileIsTooLong) { EXPECT_THAT(violations(check_length), IsEmpty()); }

TEST(Length, ALongFileIsFound) {
  EXPECT_THAT(check_length(parse_source("base/a.cpp", std::string(501, '\n'))),
              ElementsAre("base/a.cpp:501: longer than 500 lines; split it"));
}

TEST(Length, TheMedianFileIsShort) {
  std::vector<int> lengths;
  for (const SourceFile& file : sources()) {
    lengths.push_back(file.lines());
  }
  ASSERT_FALSE(lengths.empty());
  std::sort(lengths.begin(), lengths.end());
  const int median = lengths[lengths.size() / 2];
  std::printf("%zu files, median %d lines, longest %d\n", lengths.size(), median, lengths.back());
  EXPECT_LE(median, 200);
}

TEST(Format, ClangFormat14ChangesNothing) {
  if (std::system("command -v clang-format-14 >/dev/null") != 0) {
    GTEST_SKIP() << "clang-format-14 is not installed; scripts/setup.sh installs it";
  }
  std::string command = "cd '" WEFT_SOURCE_DIR "' && clang-format-14 --dry-run --Werror";
  for (const SourceFile& file : sources()) {
    command += " '" + file.path.string() + "'";
  }
  EXPECT_EQ(std::system(command.c_str()), 0) << "run: cmake --build build/dev --target format";
}

}  // namespace
}  // namespace weft::style
