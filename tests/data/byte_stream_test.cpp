#include "data/byte_stream.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "data/reader_lines.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const fs::path kInputs = fs::path(WEFT_SOURCE_DIR) / "tests/fixtures/inputs";

class ByteStreamTest : public FolderTest {
 protected:
  /// All bytes of a file, read in pieces of `piece`.
  std::string bytes(const fs::path& path, std::size_t piece = 1000) {
    const auto stream = open_byte_stream(files_, path);
    std::string all;
    std::string buffer(piece, '\0');
    while (const std::size_t count = stream->read(std::as_writable_bytes(std::span(buffer)))) {
      all.append(buffer, 0, count);
    }
    EXPECT_EQ(stream->bytes_read(), fs::file_size(path));
    return all;
  }

  std::string fixture(const std::string& name) { return read_file(files_, kInputs / name); }

  /// A Zstandard frame that is `blocks` times 128 KiB of newlines, with a window of 2^(10 + e).
  static std::string newlines(int blocks, int e = 7) {
    std::string frame("\x28\xB5\x2F\xFD\x00", 5);
    frame += static_cast<char>(e << 3);
    for (int i = 1; i <= blocks; ++i) {
      const unsigned header = (i == blocks ? 1u : 0u) | 2u | (131'072u << 3);
      for (int byte = 0; byte < 3; ++byte) {
        frame += static_cast<char>(header >> (8 * byte));
      }
      frame += '\n';
    }
    return frame;
  }
};

TEST_F(ByteStreamTest, WhatOtherProgramsCompressedIsReadBack) {
  std::string expected;
  const Json json = read_json(files_, kInputs / "expected.json");
  for (const Json& row : json["compressed"]) {
    expected += dump_json_python(row) + "\n";
  }
  for (const char* name : {"rows.jsonl.gz", "members.jsonl.gz", "named_padded.jsonl.gz",
                           "rows.jsonl.zst", "frames.jsonl.zst"}) {
    EXPECT_EQ(bytes(kInputs / name), expected) << name;
    EXPECT_EQ(bytes(kInputs / name, 1), expected) << name;
  }
}

TEST_F(ByteStreamTest, TheFirstBytesDecideNotTheName) {
  const fs::path compressed = put("a.txt", fixture("rows.jsonl.gz"));
  EXPECT_EQ(bytes(compressed), bytes(kInputs / "rows.jsonl.gz"));
  EXPECT_EQ(bytes(put("b.gz", "plain")), "plain");
  EXPECT_EQ(bytes(put("c.zst", "")), "");
}

TEST_F(ByteStreamTest, AFileThatIsCutAnywhereIsNamedWithTheOffset) {
  for (const char* name : {"rows.jsonl.gz", "frames.jsonl.zst"}) {
    const std::string whole = fixture(name);
    for (std::size_t size = 5; size + 1 < whole.size(); size += 97) {
      const fs::path cut = put("cut", std::string_view(whole).substr(0, size));
      const std::string message = error_of([&] { (void)bytes(cut); });
      EXPECT_THAT(message, HasSubstr(fmt::format("cut short at byte {}, its end is missing", size)))
          << name;
    }
  }
}

TEST_F(ByteStreamTest, DamageIsNamedWithTheFileAndTheOffset) {
  for (const char* name : {"rows.jsonl.gz", "rows.jsonl.zst"}) {
    std::string data = fixture(name);
    data[data.size() - 3] ^= '\x01';  // in the checksum
    EXPECT_THAT(error_of([&] { (void)bytes(put("bad", data)); }),
                AllOf(HasSubstr("bad: the "), HasSubstr(" data is damaged near byte ")))
        << name;
    EXPECT_THAT(error_of([&] { (void)bytes(put("bad", fixture(name) + "more")); }),
                HasSubstr("is damaged near byte"))
        << name;
  }
}

TEST_F(ByteStreamTest, AFileMadeToFillAMachineIsRefused) {
  const fs::path bomb = put("bomb.jsonl.zst", newlines(6000));
  LineReader lines(files_, bomb, 1 << 20);
  std::string line;
  EXPECT_THAT(
      error_of([&] {
        while (lines.next(line)) {
        }
      }),
      AllOf(HasSubstr("bomb.jsonl.zst: its first "), HasSubstr("more than 2000 times their size")));
  // As much as is free is read.
  EXPECT_EQ(bytes(put("small.zst", newlines(1000)), 1 << 20).size(), 131'072'000u);
}

TEST_F(ByteStreamTest, AWindowLargerThanTheMemoryForItIsRefused) {
  EXPECT_THAT(error_of([&] { (void)bytes(put("window.zst", newlines(1, 18))); }),
              HasSubstr("Zstandard data is damaged near byte"));
}

TEST_F(ByteStreamTest, ALongLineInACompressedFileIsRefusedAndNeverHeld) {
  std::string frame = newlines(800);
  for (std::size_t i = 9; i < frame.size(); i += 4) {
    frame[i] = 'x';
  }
  LineReader lines(files_, put("long.zst", frame), 1 << 20);
  std::string line;
  EXPECT_THAT(error_of([&] { (void)lines.next(line); }),
              HasSubstr("long.zst:1: the line is longer than 1.0 MiB"));
  EXPECT_LE(line.capacity(), std::size_t{4} << 20);
}

TEST_F(ByteStreamTest, LinesOfACompressedFileCountTheFilesOwnBytes) {
  LineReader lines(files_, kInputs / "rows.jsonl.gz", 1 << 20);
  std::string line;
  int count = 0;
  while (lines.next(line)) {
    ++count;
  }
  EXPECT_EQ(count, 400);
  EXPECT_EQ(lines.bytes_read(), fs::file_size(kInputs / "rows.jsonl.gz"));
}

TEST(UncompressedName, LosesTheExtensionOfACompressedFileAlone) {
  EXPECT_EQ(uncompressed_name("d/a.jsonl.gz"), "d/a.jsonl");
  EXPECT_EQ(uncompressed_name("a.jsonl.zst"), "a.jsonl");
  EXPECT_EQ(uncompressed_name("a.jsonl"), "a.jsonl");
}

}  // namespace
}  // namespace weft::data
