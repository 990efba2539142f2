// Starts itself again with the stand-in before LibTorch's libraries, as run.sh does for any
// program.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/absent_gpu/counting.h"

namespace {

// Returns only where that failed.
void start_again(char** arguments) {
  constexpr const char* kScript = WEFT_SOURCE_DIR "/tests/absent_gpu/run.sh";
  constexpr const char* kBuild = WEFT_BINARY_DIR;
  std::vector<char*> command{const_cast<char*>(kScript), const_cast<char*>(kBuild)};
  while (*arguments != nullptr) {
    command.push_back(*arguments++);
  }
  command.push_back(nullptr);
  setenv("WEFT_ABSENT_GPU_STARTED", "1", 1);
  execv(kScript, command.data());
  std::perror(kScript);
}

}  // namespace

int main(int argc, char** argv) {
  if (!weft::test::stand_in_is_loaded()) {
    if (std::getenv("WEFT_ABSENT_GPU_STARTED") == nullptr) {
      start_again(argv);
    }
    std::fputs("the stand-in for a GPU could not be loaded\n", stderr);
    return 1;
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
