#include <gtest/gtest.h>

#include <cstdlib>

#include "trainer/run_config.h"

namespace weft::trainer {
namespace {

// After a change of keys: WEFT_REGENERATE_DOCS=1 weft_trainer_tests --gtest_filter=RunConfigDocs.*
TEST(RunConfigDocs, PageIsWhatTheProgramSays) {
  FileSystem& files = posix_file_system();
  const fs::path path = WEFT_SOURCE_DIR "/docs/config.md";
  if (std::getenv("WEFT_REGENERATE_DOCS") != nullptr) {
    publish_file(files, path, config_markdown());
  }
  EXPECT_EQ(read_file(files, path), config_markdown())
      << "docs/config.md is out of date; run this test with WEFT_REGENERATE_DOCS=1";
}

}  // namespace
}  // namespace weft::trainer
