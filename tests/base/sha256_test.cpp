#include "base/sha256.h"

#include <gmock/gmock.h>

#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft {
namespace {

// NIST's example values for SHA-256.
constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kMillionA =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256_hex(""), kEmpty);
  EXPECT_EQ(sha256_hex("abc"), kAbc);
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')), kMillionA);
}

TEST(Sha256, PiecesGiveTheSameDigest) {
  Sha256 hash;
  hash.update("a");
  Sha256 moved = std::move(hash);
  moved.update("");
  moved.update("bc");
  EXPECT_EQ(moved.finish(), kAbc);
}

TEST(Sha256, FilesAreReadToTheirEnd) {
  const test::TempFolder folder;
  FileSystem& files = posix_file_system();
  publish_file(files, folder / "empty", "");
  EXPECT_EQ(sha256_file(files, folder / "empty"), kEmpty);
  // More than one piece, and not a multiple of it.
  const std::string text = std::string((std::size_t{2} << 20) + 7, 'x') + "end";
  publish_file(files, folder / "large", text);
  EXPECT_EQ(sha256_file(files, folder / "large"), sha256_hex(text));
}

TEST(Sha256, MissingFileIsNamed) {
  const Error error =
      test::caught([] { (void)sha256_file(posix_file_system(), "/nowhere/model.safetensors"); });
  EXPECT_THAT(error.what(), ::testing::HasSubstr("/nowhere/model.safetensors"));
  EXPECT_EQ(error.kind(), ErrorKind::kData);
}

}  // namespace
}  // namespace weft
