// Every rule of the safetensors format, one test each, and the kinds of file that are often taken
// for one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "model/safetensors.h"
#include "tests/model/files_test_support.h"

namespace weft::model {
namespace {

using test::TempFolder;
using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::read_text;
using testing::write_text;

std::string length_prefix(std::uint64_t length) {
  std::string prefix(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) prefix[i] = static_cast<char>(length >> (8 * i) & 0xff);
  return prefix;
}

class SafetensorsRules : public ::testing::Test {
 protected:
  SafetensorsFile open_bytes(std::string_view bytes) {
    write_text(path_, bytes);
    return SafetensorsFile::open(posix_file_system(), path_);
  }

  SafetensorsFile open_header(std::string_view header, std::size_t buffer_bytes) {
    return open_bytes(length_prefix(header.size()) + std::string(header) +
                      std::string(buffer_bytes, 'x'));
  }

  /// The message when a file of these bytes is opened; it must name the file.
  std::string refused(std::string_view bytes) {
    const std::string message = error_of([&] { open_bytes(bytes); });
    EXPECT_THAT(message, HasSubstr("weights.safetensors"));
    return message;
  }

  std::string refused_header(std::string_view header, std::size_t buffer_bytes) {
    const std::string message = error_of([&] { open_header(header, buffer_bytes); });
    EXPECT_THAT(message, HasSubstr("weights.safetensors"));
    return message;
  }

  TempFolder folder_;
  fs::path path_ = folder_.path() / "weights.safetensors";
};

TEST_F(SafetensorsRules, FewerThanEightBytes) {
  for (const std::size_t size : {0, 1, 7}) {
    EXPECT_THAT(refused(std::string(size, 'a')),
                HasSubstr("the file has " + std::to_string(size) + " bytes"));
  }
}

TEST_F(SafetensorsRules, HeaderLengthOverTheLimitIsRefusedUnread) {
  write_text(path_, length_prefix(100'000'001));
  fs::resize_file(path_, 8 + 100'000'001);  // sparse
  EXPECT_THAT(
      error_of([&] { static_cast<void>(SafetensorsFile::open(posix_file_system(), path_)); }),
      HasSubstr("length is 100000001 bytes; the format allows 100000000"));
}

TEST_F(SafetensorsRules, HeaderOfExactlyTheLimitIsAccepted) {
  std::string header = "{}";
  header.resize(100'000'000, ' ');
  EXPECT_TRUE(open_header(header, 0).tensors().empty());
}

TEST_F(SafetensorsRules, HeaderLengthBeyondTheFile) {
  EXPECT_THAT(refused(length_prefix(60) + "{}"), HasSubstr("length is 60 bytes but only 2 follow"));
  EXPECT_THAT(refused(length_prefix(~std::uint64_t{0}) + "{}"),
              HasSubstr("length is 18446744073709551615 bytes"));
}

TEST_F(SafetensorsRules, HeaderIsNotUtf8) {
  EXPECT_THAT(refused_header("{\"\xff\":1}", 0), HasSubstr("not valid UTF-8"));
}

TEST_F(SafetensorsRules, HeaderIsNotJson) {
  EXPECT_THAT(refused_header("{", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(refused_header("[]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(refused_header("", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(refused_header("{}{}", 0), HasSubstr("not valid JSON"));
  EXPECT_THAT(refused_header(std::string_view("{}\0garbage", 10), 0), HasSubstr("zero byte"));
}

TEST_F(SafetensorsRules, HeaderOfTheWrongForm) {
  EXPECT_THAT(refused_header(R"({"a":1})", 0), HasSubstr("1 at 'a' where an object"));
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"U8","shape":[1]}})", 0),
              HasSubstr("tensor 'a' has no data_offsets"));
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"U8","data_offsets":[0,1]}})", 1),
              HasSubstr("tensor 'a' has no shape"));
  EXPECT_THAT(refused_header(R"({"a":{"shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("tensor 'a' has no dtype"));
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":2}})", 1),
              HasSubstr("tensor 'a' has a member 'x'"));
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1),
              HasSubstr("tensor 'a' has 1 as its shape"));
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1),
              HasSubstr("tensor 'a' has more than 2 data_offsets"));
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1),
              HasSubstr("tensor 'a' has 1 data_offsets"));
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1),
              HasSubstr("tensor 'a' has a list in its shape"));
}

TEST_F(SafetensorsRules, MetadataHoldsStringsOnly) {
  EXPECT_THAT(refused_header(R"({"__metadata__":{"a":1}})", 0), HasSubstr("must be strings"));
  EXPECT_THAT(refused_header(R"({"__metadata__":{"a":"x","a":"y"}})", 0),
              HasSubstr("__metadata__ holds 'a' twice"));
  EXPECT_THAT(refused_header(R"({"__metadata__":{},"__metadata__":{}})", 0),
              HasSubstr("holds __metadata__ twice"));
  EXPECT_EQ(open_header(R"({"__metadata__":{"a":"x"}})", 0).metadata().at("a"), "x");
}

TEST_F(SafetensorsRules, TensorsLeaveAHole) {
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                                 "b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
                             5),
              HasSubstr("tensor 'b' begins at offset 3 of the buffer where 2 is expected"));
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", 3),
              HasSubstr("tensor 'a' begins at offset 1 of the buffer where 0 is expected"));
}

TEST_F(SafetensorsRules, TensorsOverlap) {
  std::string header = "{";
  for (int i = 0; i < 10; ++i) {
    header += (i > 0 ? ",\"t" : "\"t") + std::to_string(i) +
              R"(":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]})";
  }
  EXPECT_THAT(refused_header(header + "}", 16),
              AllOf(HasSubstr("tensor 't1' begins at offset 0"), HasSubstr("no overlap")));
}

TEST_F(SafetensorsRules, SizesWrap) {
  EXPECT_THAT(
      refused_header(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})",
                     0),
      HasSubstr("tensor 'a' has shape [4294967296, 4294967296], whose product does not fit"));
  EXPECT_THAT(refused_header(
                  R"({"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}})", 4),
              HasSubstr("more bytes than fit in 64 bits"));
}

TEST_F(SafetensorsRules, ShapeIsNotWholeNumbers) {
  const auto with_shape = [&](const std::string& shape) {
    return refused_header(R"({"a":{"dtype":"U8","shape":[)" + shape + R"(],"data_offsets":[0,1]}})",
                          1);
  };
  EXPECT_THAT(with_shape("-1"), HasSubstr("tensor 'a' has -1 in its shape"));
  EXPECT_THAT(with_shape("1.5"), HasSubstr("tensor 'a' has 1.5 in its shape"));
  EXPECT_THAT(with_shape("1.0"), HasSubstr("tensor 'a' has 1.0 in its shape"));
  EXPECT_THAT(with_shape("9223372036854775808"), HasSubstr("in its shape"));
  EXPECT_THAT(with_shape("99999999999999999999"), HasSubstr("in its shape"));
  EXPECT_THAT(with_shape("null"), HasSubstr("tensor 'a' has null in its shape"));
  EXPECT_THAT(with_shape("true"), HasSubstr("tensor 'a' has true in its shape"));
}

TEST_F(SafetensorsRules, TooManyDimensions) {
  std::string shape = "1";
  for (int i = 1; i < 65; ++i) shape += ",1";
  EXPECT_THAT(
      refused_header(R"({"a":{"dtype":"U8","shape":[)" + shape + R"(],"data_offsets":[0,1]}})", 1),
      HasSubstr("tensor 'a' has more than 32 dimensions"));
}

TEST_F(SafetensorsRules, SizeIsNotTheShapes) {
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,20]}})", 20),
              HasSubstr("tensor 'a' of type F32 and shape [2, 2] needs 16 bytes but its "
                        "data_offsets [0, 20] hold 20"));
}

TEST_F(SafetensorsRules, OffsetsGoBackwards) {
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[5,4]}})", 5),
              HasSubstr("the end lies before the begin"));
}

TEST_F(SafetensorsRules, SubByteTypesMustFillBytes) {
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2),
              HasSubstr("tensor 'a' of type F4 and shape [3] ends inside a byte"));
  EXPECT_EQ(open_header(R"({"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}})", 3)
                .info("a")
                .bytes(),
            3u);
}

TEST_F(SafetensorsRules, BufferNotCovered) {
  const std::string header = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";
  EXPECT_THAT(refused_header(header, 5),
              AllOf(HasSubstr("describes 4 bytes of tensors but the file holds 5"),
                    HasSubstr("trailing bytes")));
  EXPECT_THAT(refused_header(header, 3),
              AllOf(HasSubstr("describes 4 bytes of tensors but the file holds 3"),
                    HasSubstr("cut short")));
}

TEST_F(SafetensorsRules, UnknownDtype) {
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"F128","shape":[1],"data_offsets":[0,16]}})", 16),
              AllOf(HasSubstr("tensor 'a' has the unknown dtype 'F128'"), HasSubstr("BF16")));
}

TEST_F(SafetensorsRules, DuplicateTensor) {
  EXPECT_THAT(refused_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                                 "a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                             2),
              HasSubstr("lists tensor 'a' twice"));
  EXPECT_THAT(
      refused_header(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
      HasSubstr("dtype, which is given twice"));
}

TEST_F(SafetensorsRules, NamesWithControlCharactersOrWithoutEnd) {
  const auto with_name = [&](const std::string& name) {
    return refused_header("{\"" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                          1);
  };
  EXPECT_THAT(with_name("a\\u0000b"), HasSubstr("holds a control character"));
  EXPECT_THAT(with_name("a\\nb"),
              AllOf(HasSubstr("holds a control character"), Not(HasSubstr("\n"))));
  EXPECT_THAT(with_name(""), HasSubstr("is empty"));
  const std::string long_name = with_name(std::string(10'000, 'n'));
  EXPECT_THAT(long_name, HasSubstr("has 10000 bytes; at most 4096"));
  EXPECT_LT(long_name.size(), 1000u);
}

TEST_F(SafetensorsRules, AcceptsZeroSizesScalarsAndWhiteSpace) {
  const SafetensorsFile file = open_header(
      " \n"
      R"({"z":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]},
                                     "s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
                                     "e":{"dtype":"U8","shape":[0],"data_offsets":[4,4]}})"
      "\t\r\n  ",
      4);
  EXPECT_EQ(file.info("z").bytes(), 0u);
  EXPECT_EQ(file.info("s").bytes(), 4u);
}

TEST_F(SafetensorsRules, DeepNestingIsRefusedInNoTime) {
  EXPECT_THAT(refused_header("{\"a\":" + std::string(1'000'000, '['), 0),
              HasSubstr("a list at 'a' where an object is expected"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(refused_header(objects, 0), HasSubstr("tensor 'a' has a member 'a'"));
}

TEST_F(SafetensorsRules, OtherFormatsAreNamed) {
  using namespace std::string_literals;
  const std::string rest(64, '\x01');
  EXPECT_THAT(refused("PK\x03\x04\0\0\x08\x08"s + rest), HasSubstr("zip file (PyTorch's"));
  EXPECT_THAT(refused("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20"s + rest),
              HasSubstr("pickle file"));
  EXPECT_THAT(refused("\x80\x04\x95\0\0\0\0\0\0\0"s + rest), HasSubstr("pickle file"));
  EXPECT_THAT(refused("GGUF\x03\0\0\0"s + rest), HasSubstr("GGUF file"));
  EXPECT_THAT(refused("\x89HDF\r\n\x1a\n"s + rest), HasSubstr("HDF5 file"));
  EXPECT_THAT(refused("version https://git-lfs.github.com/spec/v1\noid sha256:0"),
              HasSubstr("git lfs pull"));
  EXPECT_THAT(refused("<!DOCTYPE html><html></html>"), HasSubstr("HTML page"));
}

/// Opens whatever bytes lie there and reads all tensors: fine or a weft::Error, nothing else.
void open_and_read(const fs::path& path) {
  try {
    const SafetensorsFile file = SafetensorsFile::open(posix_file_system(), path);
    for (const auto& [name, info] : file.tensors()) {
      ASSERT_LE(info.bytes(), 1'000'000u);
      std::vector<std::byte> bytes(info.bytes());
      file.read(info, bytes);
    }
  } catch (const Error& error) {
    ASSERT_EQ(error.kind(), ErrorKind::kData) << error.what();
  }
}

TEST_F(SafetensorsRules, RandomDamageNeverCrashes) {
  const std::string good =
      read_text(fs::path(WEFT_SOURCE_DIR) / "tests/fixtures/safetensors/mixed.safetensors");
  const std::string_view alphabet =
      "{}[]\",:0123456789.-eE\\ \n\x00\xff"
      "atruenl";
  std::mt19937 random(20240607);
  const auto below = [&](std::size_t bound) { return random() % bound; };
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = good;
    for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
      const std::size_t at = below(2) == 0 ? below(16) : below(bytes.size());
      switch (below(4)) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = alphabet[below(alphabet.size())];
          break;
        case 2:
          bytes.erase(at, 1 + below(8));
          break;
        default:
          bytes.insert(at, bytes.substr(below(bytes.size()), 1 + below(40)));
      }
      if (bytes.size() < 20) bytes = good;
    }
    write_text(path_, bytes);
    open_and_read(path_);
    if (HasFatalFailure()) FAIL() << "round " << round;
  }
}

TEST_F(SafetensorsRules, EveryTruncationIsRefused) {
  const std::string good =
      read_text(fs::path(WEFT_SOURCE_DIR) / "tests/fixtures/safetensors/mixed.safetensors");
  for (std::size_t size = 0; size < good.size(); size += 1 + size / 40) {
    refused(std::string_view(good).substr(0, size));
  }
  refused(std::string_view(good).substr(0, good.size() - 1));
}

}  // namespace
}  // namespace weft::model
