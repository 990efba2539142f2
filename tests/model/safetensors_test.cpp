#include "model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/model/files_test_support.h"

namespace weft::model {
namespace {

using test::TempFolder;
using ::testing::AllOf;
using testing::error_of;
using ::testing::HasSubstr;
using testing::read_text;
using testing::write_text;

const fs::path kFixture =
    fs::path(WEFT_SOURCE_DIR) / "tests/fixtures/safetensors/mixed.safetensors";

/// The tensors of tests/oracle/safetensors_fixture.py.
std::vector<TensorSpec> fixture_specs() {
  return {{"z.weight", DType::kBFloat16, {3, 5}},
          {"a.weight", DType::kBFloat16, {2, 2}},
          {"model.layers.10.norm", DType::kFloat32, {4}},
          {"model.layers.2.norm", DType::kFloat32, {4}},
          {"half", DType::kFloat16, {7}},
          {"empty", DType::kFloat32, {0, 3}},
          {"scalar", DType::kFloat64, {}},
          {"flags", DType::kBool, {3}},
          {"bytes", DType::kUint8, {5}},
          {"ids", DType::kInt64, {2}},
          {"small", DType::kInt32, {1, 1, 3}},
          {"eight", DType::kFloat8E4M3, {3}},
          {"odd \"name\" \\ \u00e9", DType::kInt8, {1}}};
}

std::vector<std::byte> fixture_bytes(const TensorSpec& spec) {
  std::vector<std::byte> bytes(tensor_bytes(spec.dtype, spec.shape, spec.name));
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(spec.dtype == DType::kBool ? i % 2 : (i * 7 + 3) % 256);
  }
  return bytes;
}

TEST(Safetensors, ReadsWhatPythonWrote) {
  const SafetensorsFile file = SafetensorsFile::open(posix_file_system(), kFixture);
  EXPECT_EQ(file.tensors().size(), fixture_specs().size());
  EXPECT_EQ(file.metadata().at("format"), "pt");
  for (const TensorSpec& spec : fixture_specs()) {
    const TensorInfo& info = file.info(spec.name);
    EXPECT_EQ(info.dtype, spec.dtype);
    EXPECT_EQ(info.shape, spec.shape);
    std::vector<std::byte> bytes(info.bytes());
    file.read(info, bytes);
    EXPECT_EQ(bytes, fixture_bytes(spec)) << spec.name;
  }
}

TEST(Safetensors, WritesTheSameBytesAsPython) {
  TempFolder folder;
  const fs::path path = folder.path() / "out.safetensors";
  SafetensorsWriter writer(posix_file_system(), path, fixture_specs());
  for (const TensorSpec& spec : writer.tensors()) {
    const std::vector<std::byte> bytes = fixture_bytes(spec);
    const std::size_t half = bytes.size() / 2;
    writer.append(spec.name, std::span(bytes).first(half));
    writer.append(spec.name, std::span(bytes).subspan(half));
  }
  EXPECT_TRUE(writer.complete());
  writer.finish();
  EXPECT_EQ(read_text(path), read_text(kFixture));
}

TEST(Safetensors, PublishesTheSameBytesAsPython) {
  TempFolder folder;
  const std::vector<TensorSpec> specs = fixture_specs();
  std::vector<std::vector<std::byte>> bytes;
  for (const TensorSpec& spec : specs) bytes.push_back(fixture_bytes(spec));
  std::vector<TensorBytes> tensors;
  for (std::size_t i = 0; i < specs.size(); ++i) tensors.push_back({specs[i], bytes[i]});
  const fs::path path = folder.path() / "out.safetensors";
  publish_safetensors(posix_file_system(), path, tensors);
  EXPECT_EQ(read_text(path), read_text(kFixture));
  publish_safetensors(posix_file_system(), path, tensors, {{"format", "pt"}});  // over itself
  EXPECT_EQ(read_text(path), read_text(kFixture));
}

TEST(Safetensors, ReadsParts) {
  const SafetensorsFile file = SafetensorsFile::open(posix_file_system(), kFixture);
  const TensorInfo& info = file.info("z.weight");
  std::vector<std::byte> row(10);
  file.read_range(info, 20, row);
  EXPECT_EQ(row[0], static_cast<std::byte>((20 * 7 + 3) % 256));
  EXPECT_EQ(row[9], static_cast<std::byte>((29 * 7 + 3) % 256));
  EXPECT_THAT(error_of([&] { file.read_range(info, 21, row); }, ErrorKind::kInternal),
              HasSubstr("outside a tensor of 30"));
  EXPECT_THAT(error_of([&] { file.read(info, row); }, ErrorKind::kInternal),
              HasSubstr("10 bytes given for a tensor of 30"));
}

TEST(Safetensors, ReadsFromSeveralThreads) {
  const SafetensorsFile file = SafetensorsFile::open(posix_file_system(), kFixture);
  std::vector<int> wrong(4, 0);
  std::vector<std::jthread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&file, &count] {
      for (int round = 0; round < 50; ++round) {
        for (const TensorSpec& spec : fixture_specs()) {
          std::vector<std::byte> bytes(file.info(spec.name).bytes());
          file.read(spec.name, bytes);
          if (bytes != fixture_bytes(spec)) ++count;
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(Safetensors, NamesTheNearestTensor) {
  const SafetensorsFile file = SafetensorsFile::open(posix_file_system(), kFixture);
  EXPECT_TRUE(file.contains("half"));
  EXPECT_FALSE(file.contains("halve"));
  EXPECT_THAT(error_of([&] { static_cast<void>(file.info("b.weight")); }),
              AllOf(HasSubstr("mixed.safetensors"), HasSubstr("no tensor 'b.weight'"),
                    HasSubstr("nearest name is 'a.weight'")));
}

TEST(Safetensors, AFileThatShrinksWhileReadIsAnError) {
  TempFolder folder;
  const fs::path path = folder.path() / "a.safetensors";
  fs::copy_file(kFixture, path);
  const SafetensorsFile file = SafetensorsFile::open(posix_file_system(), path);
  std::vector<std::byte> bytes(file.info("bytes").bytes());
  fs::resize_file(path, 100);
  EXPECT_THAT(error_of([&] { file.read("bytes", bytes); }), HasSubstr("a.safetensors"));
}

TEST(Safetensors, AFileThatIsReplacedWhileReadKeepsItsOldContent) {
  TempFolder folder;
  const fs::path path = folder.path() / "a.safetensors";
  fs::copy_file(kFixture, path);
  const SafetensorsFile file = SafetensorsFile::open(posix_file_system(), path);
  write_text(folder.path() / "b", "something else");
  fs::rename(folder.path() / "b", path);
  std::vector<std::byte> bytes(file.info("ids").bytes());
  file.read("ids", bytes);
  EXPECT_EQ(bytes, fixture_bytes({"ids", DType::kInt64, {2}}));
}

TEST(SafetensorsWriter, RefusesBytesOutOfPlace) {
  TempFolder folder;
  SafetensorsWriter writer(posix_file_system(), folder.path() / "a",
                           {{"a", DType::kUint8, {4}}, {"b", DType::kUint8, {4}}});
  const std::vector<std::byte> five(5);
  const auto four = std::span(five).first(4);
  const auto internal = [](const std::function<void()>& action) {
    return error_of(action, ErrorKind::kInternal);
  };
  EXPECT_THAT(internal([&] { writer.append("b", four); }),
              HasSubstr("'b' arrived where 'a' is due"));
  EXPECT_THAT(internal([&] { writer.append("a", five); }), HasSubstr("5 bytes arrived"));
  EXPECT_THAT(internal([&] { writer.finish(); }), HasSubstr("'a' lacks 4 bytes"));
  writer.append("a", four);
  EXPECT_FALSE(writer.complete());
  writer.append("b", four);
  EXPECT_THAT(internal([&] { writer.append("b", four); }), HasSubstr("where nothing is due"));
  writer.finish();
  EXPECT_EQ(SafetensorsFile::open(posix_file_system(), folder.path() / "a").tensors().size(), 2u);
}

TEST(SafetensorsWriter, RefusesTensorsThatCannotBeRead) {
  TempFolder folder;
  const auto message = [&](std::vector<TensorSpec> specs) {
    return error_of([&] {
      SafetensorsWriter writer(posix_file_system(), folder.path() / "a", std::move(specs));
    });
  };
  EXPECT_THAT(message({{"a", DType::kUint8, {1}}, {"a", DType::kFloat32, {1}}}),
              HasSubstr("'a' is listed twice"));
  EXPECT_THAT(message({{"a\nb", DType::kUint8, {1}}}), HasSubstr("holds a control character"));
  EXPECT_THAT(message({{"a", DType::kUint8, {-1}}}), HasSubstr("negative size -1"));
  EXPECT_THAT(message({{"a", DType::kUint8, std::vector<std::int64_t>(33, 1)}}),
              HasSubstr("33 dimensions"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace weft::model
