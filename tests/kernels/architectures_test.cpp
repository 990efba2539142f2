#include "kernels/architectures.h"

#include <gtest/gtest.h>

namespace weft::kernels {
namespace {

TEST(Architectures, CoverTheirOwnAndLaterMinorVersions) {
  EXPECT_TRUE(architectures_cover("80", 80));
  EXPECT_TRUE(architectures_cover("80", 86));
  EXPECT_TRUE(architectures_cover("80;100", 103));
  EXPECT_FALSE(architectures_cover("86", 80));
  EXPECT_FALSE(architectures_cover("80;86;89", 90));
  EXPECT_FALSE(architectures_cover("100", 120));
}

TEST(Architectures, WithALetterCoverOneAlone) {
  EXPECT_TRUE(architectures_cover("90a", 90));
  EXPECT_TRUE(architectures_cover("80;90a", 90));
  EXPECT_FALSE(architectures_cover("100a", 103));
}

TEST(Architectures, NothingIsCoveredByNothing) {
  EXPECT_FALSE(architectures_cover("", 90));
  EXPECT_FALSE(architectures_cover("hopper", 90));
}

}  // namespace
}  // namespace weft::kernels
