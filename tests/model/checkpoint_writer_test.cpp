#include "model/checkpoint_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "model/checkpoint_files.h"
#include "model/checkpoint_index.h"
#include "model/checkpoint_reader.h"
#include "tests/model/files_test_support.h"

namespace weft::model {
namespace {

using test::TempFolder;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::read_text;
using testing::write_text;

std::vector<TensorSpec> four_tensors() {
  return {{"d", DType::kUint8, {10}},
          {"c", DType::kUint8, {30}},
          {"b", DType::kUint8, {50}},
          {"a", DType::kUint8, {9}}};
}

std::vector<std::vector<std::string>> plan_names(std::uint64_t max) {
  std::vector<std::vector<std::string>> names;
  for (const auto& shard : plan_shards(four_tensors(), max).shards) {
    names.emplace_back();
    for (const TensorSpec& tensor : shard) names.back().push_back(tensor.name);
  }
  return names;
}

void write_all(CheckpointWriter& writer) {
  for (const TensorSpec& spec : writer.order()) {
    std::vector<std::byte> bytes(tensor_bytes(spec.dtype, spec.shape, spec.name),
                                 static_cast<std::byte>(spec.name[0]));
    writer.append(spec.name, bytes);
  }
  writer.finish();
}

TEST(ShardPlan, FillsShardsInTheModelsOrder) {
  using Names = std::vector<std::vector<std::string>>;
  EXPECT_EQ(plan_names(99), (Names{{"d", "c", "b", "a"}}));
  EXPECT_EQ(plan_names(98), (Names{{"d", "c", "b"}, {"a"}}));
  EXPECT_EQ(plan_names(50), (Names{{"d", "c"}, {"b"}, {"a"}}));
  // A tensor over the limit gets its own file and does not close the one being filled.
  EXPECT_EQ(plan_names(49), (Names{{"b"}, {"d", "c", "a"}}));
  EXPECT_EQ(plan_shards({}, 10).shards.size(), 1u);
  EXPECT_EQ(plan_shards(four_tensors(), 10).total_bytes, 99u);
}

TEST(ShardPlan, Names) {
  EXPECT_EQ(shard_name(0, 1), "model.safetensors");
  EXPECT_EQ(shard_name(0, 3), "model-00001-of-00003.safetensors");
  EXPECT_EQ(shard_name(2, 3), "model-00003-of-00003.safetensors");
}

TEST(CheckpointWriter, WritesOneFileWithoutAnIndex) {
  TempFolder folder;
  FileSystem& files = posix_file_system();
  CheckpointWriter writer(files, folder.path(), four_tensors());
  write_all(writer);
  EXPECT_THAT(files.list(folder.path()), ElementsAre("model.safetensors"));
  EXPECT_THAT(CheckpointReader::open(files, folder.path()).names(),
              ElementsAre("a", "b", "c", "d"));
}

TEST(CheckpointWriter, WritesShardsAndTheirIndex) {
  TempFolder folder;
  FileSystem& files = posix_file_system();
  CheckpointWriter writer(files, folder.path(), four_tensors(), 50);
  write_all(writer);
  EXPECT_THAT(files.list(folder.path()),
              ElementsAre("model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                          "model-00003-of-00003.safetensors", "model.safetensors.index.json"));
  EXPECT_EQ(read_text(folder.path() / kIndexName), R"({
  "metadata": {
    "total_parameters": 99,
    "total_size": 99
  },
  "weight_map": {
    "a": "model-00003-of-00003.safetensors",
    "b": "model-00002-of-00003.safetensors",
    "c": "model-00001-of-00003.safetensors",
    "d": "model-00001-of-00003.safetensors"
  }
}
)");
  const CheckpointReader reader = CheckpointReader::open(files, folder.path());
  for (const TensorSpec& spec : four_tensors()) {
    std::vector<std::byte> bytes(reader.info(spec.name).bytes());
    reader.read(spec.name, bytes);
    EXPECT_EQ(bytes, std::vector<std::byte>(bytes.size(), static_cast<std::byte>(spec.name[0])));
  }
}

TEST(CheckpointWriter, RefusesAnotherOrderAndMissingBytes) {
  TempFolder folder;
  CheckpointWriter writer(posix_file_system(), folder.path(), four_tensors(), 50);
  const std::vector<std::byte> bytes(10);
  EXPECT_THAT(error_of([&] { writer.append("d", bytes); }, ErrorKind::kInternal),
              HasSubstr("'d' arrived where 'c' is due"));
  EXPECT_THAT(error_of([&] { writer.finish(); }, ErrorKind::kInternal),
              HasSubstr("1 of 3 shards were written"));
}

TEST(CheckpointWriter, ChecksAllTensorsBeforeItCreatesAFile) {
  TempFolder folder;
  std::vector<TensorSpec> tensors = four_tensors();
  tensors.push_back(tensors[0]);
  EXPECT_THAT(error_of([&] { CheckpointWriter(posix_file_system(), folder.path(), tensors, 50); }),
              HasSubstr("'d' is listed twice"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(CheckpointWriter, RefusesAFolderThatHoldsWeights) {
  TempFolder folder;
  write_text(folder.path() / "model.safetensors", "mine");
  EXPECT_THAT(
      error_of([&] { CheckpointWriter(posix_file_system(), folder.path(), four_tensors()); }),
      HasSubstr("model.safetensors"));
  EXPECT_EQ(read_text(folder.path() / "model.safetensors"), "mine");
}

TEST(CheckpointFiles, CopiesWhatIsThere) {
  TempFolder from;
  TempFolder to;
  FileSystem& files = posix_file_system();
  const std::string large(std::size_t{3} << 20, 'v');
  write_text(from.path() / "vocab.json", large);
  write_text(from.path() / "chat_template.jinja", "");
  write_text(from.path() / "generation_config.json", "{}");
  write_text(from.path() / "model.safetensors", "x");
  copy_side_files(files, from.path(), to.path());
  EXPECT_THAT(files.list(to.path()),
              ElementsAre("chat_template.jinja", "generation_config.json", "vocab.json"));
  EXPECT_EQ(read_text(to.path() / "vocab.json"), large);
}

TEST(CheckpointFiles, ATokenizerIsRequiredWhereItIsAskedFor) {
  TempFolder from;
  TempFolder to;
  EXPECT_THAT(error_of([&] { copy_tokenizer_files(posix_file_system(), from.path(), to.path()); }),
              HasSubstr("holds no tokenizer: neither tokenizer.json nor"));
  write_text(from.path() / "tokenizer.model", "t");
  write_text(from.path() / "generation_config.json", "{}");
  copy_tokenizer_files(posix_file_system(), from.path(), to.path());
  EXPECT_THAT(posix_file_system().list(to.path()), ElementsAre("tokenizer.model"));
}

TEST(CheckpointFiles, ConfigKeepsUnknownKeysAndTheirOrder) {
  TempFolder from;
  TempFolder to;
  FileSystem& files = posix_file_system();
  const std::string text = R"({ "zeta": [1, 2],  "torch_dtype": "bfloat16", "alpha": {"x": null}})";
  write_text(from.path() / "config.json", text);
  copy_config(files, from.path(), to.path());
  EXPECT_EQ(read_text(to.path() / "config.json"), text);

  TempFolder changed;
  const Json changes = dtype_changes(parse_json(text, "config.json"), DType::kFloat32);
  copy_config(files, from.path(), changed.path(), changes);
  const Json result = read_json(files, changed.path() / "config.json");
  EXPECT_EQ(dump_json(result), R"({"zeta":[1,2],"torch_dtype":"float32","alpha":{"x":null}})");
}

TEST(CheckpointFiles, DtypeIsChangedInTheSpellingThatIsUsed) {
  EXPECT_EQ(dump_json(dtype_changes(Json{{"dtype", "bfloat16"}}, DType::kFloat16)),
            R"({"dtype":"float16"})");
  EXPECT_EQ(dump_json(dtype_changes(Json::object(), DType::kFloat16)),
            R"({"torch_dtype":"float16"})");
}

}  // namespace
}  // namespace weft::model
