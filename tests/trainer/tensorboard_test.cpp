#include "trainer/tensorboard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/caught.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/temp_folder.h"

namespace weft::trainer {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return text;
}

std::uint32_t unmasked(std::string_view text) {
  const std::uint32_t rotated = masked_crc32c(std::as_bytes(std::span(text))) - 0xa282ead8U;
  return std::rotl(rotated, 15);
}

TEST(TensorBoard, Crc32cHasItsPublishedCheckValue) {
  EXPECT_EQ(unmasked("123456789"), 0xe3069283U);
  // RFC 3720, B.4: 32 bytes of zeros, 32 of ones.
  EXPECT_EQ(unmasked(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(unmasked(std::string(32, '\xff')), 0x62a8ab43U);
}

/// Cuts an event file into payloads, checking lengths and checksums.
std::vector<std::string> payloads(std::string_view file) {
  std::vector<std::string> result;
  while (!file.empty()) {
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), 8);
    const std::string payload(file.substr(12, length));
    EXPECT_EQ(hex(file.substr(0, 16 + length)), hex(tfrecord(payload)));
    result.push_back(payload);
    file.remove_prefix(16 + length);
  }
  return result;
}

class TensorBoardFile : public ::testing::Test {
 protected:
  FileSystem& files_ = posix_file_system();
  test::TempFolder temp_;

  std::vector<std::string> events() {
    const std::vector<std::string> names = files_.list(temp_.path());
    EXPECT_THAT(names, SizeIs(1));
    EXPECT_THAT(names.front(), StartsWith("events.out.tfevents.0000000001."));
    return payloads(read_file(files_, temp_ / names.front()));
  }
};

// The expected bytes were made by protobuf from TensorBoard's event.proto.
TEST_F(TensorBoardFile, BytesAreThoseOfProtobuf) {
  { TensorBoardWriter(files_, temp_.path(), 0, 1.5).add_scalar("a", 3, 2.0F, 1.5); }
  const auto found = events();
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(hex(found[0]),
            "09000000000000f83f1000"
            "1a0d" +
                hex("brain.Event:2"));
  EXPECT_EQ(hex(found[1]), "09000000000000f83f10032a0a0a080a01611500000040");
}

TEST_F(TensorBoardFile, ResumedRunTellsToForgetLaterSteps) {
  { const TensorBoardWriter writer(files_, temp_.path(), 299, 1.5); }
  const auto found = events();
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(hex(found[1]), "09000000000000f83f10ac023a020801");
}

TEST_F(TensorBoardFile, TwoWritersOfOneSecondHaveTwoFiles) {
  const TensorBoardWriter first(files_, temp_.path(), 0, 1);
  const TensorBoardWriter second(files_, temp_.path(), 0, 1);
  EXPECT_THAT(files_.list(temp_.path()), SizeIs(2));
}

TEST_F(TensorBoardFile, FullDiskIsADataError) {
  test::FailingFileSystem failing(files_, temp_.path());
  TensorBoardWriter writer(failing, temp_.path(), 0, 1);
  failing.fail_call(1, ENOSPC);
  const Error error = test::caught([&] { writer.add_scalar("loss", 1, 1.0F, 1); });
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr("No space left"));
}

}  // namespace
}  // namespace weft::trainer
