#include "trainer/datasets.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "data/manifest.h"
#include "data/shard_writer.h"
#include "tests/data/tokenize_test_support.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft::trainer {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class DatasetsTest : public testing::Test {
 protected:
  data::TokenizeInput rows(const std::string& name, int first, int last) {
    std::string text;
    for (int i = first; i < last; ++i) {
      text += fmt::format("row {}\n", i);
    }
    publish_file(files_, folder_ / name, text);
    return {.path = folder_ / name};
  }

  auto open(DataPart part) {
    return open_datasets(files_, config_, part, tokenizer_, folder_ / "cache");
  }
  std::string refusal(DataPart part = DataPart::kTraining) {
    const Error error = test::caught([&] { (void)open(part); });
    EXPECT_EQ(error.kind(), ErrorKind::kConfig) << error.what();
    return error.what();
  }

  /// A folder of shards with one document, or a pair, or a judged document.
  data::TokenizeInput shards(bool pair, std::int8_t label) {
    const data::ShardIdentity identity{.tokenizer_sha256 = tokenizer_.sha256(),
                                       .vocab_size = tokenizer_.vocab_size(),
                                       .fingerprint = std::string(64, 'f')};
    data::Document document;
    document.ids = {1, 2};
    document.mask = {0, 1};
    document.label = label;
    PublishedFolder folder(files_, folder_ / "shards");
    data::ShardWriter writer(files_, folder.path(), identity, {});
    if (pair) {
      writer.add_pair(document, document);
    } else {
      writer.add(document);
    }
    data::Manifest manifest;
    manifest.identity = identity;
    manifest.shards = writer.finish();
    data::write_manifest(files_, folder.path(), manifest);
    folder.commit();
    return {.path = folder_ / "shards"};
  }

  FileSystem& files_ = posix_file_system();
  test::TempFolder folder_;
  data::ByteTokenizer tokenizer_;
  RunConfig config_;
};

TEST_F(DatasetsTest, EachDatasetIsASetOfItsOwn) {
  config_.datasets = {rows("a.txt", 0, 10), rows("b.txt", 0, 20)};
  config_.eval_datasets = {rows("c.txt", 0, 5)};
  const auto training = open(DataPart::kTraining);
  ASSERT_THAT(training, SizeIs(2));
  EXPECT_EQ(training[1]->documents(), 20);
  ASSERT_THAT(open(DataPart::kEvaluation), SizeIs(1));
}

TEST_F(DatasetsTest, AShareIsSetAsideOfEachDataset) {
  config_.datasets = {rows("a.txt", 0, 500), rows("b.txt", 500, 1000)};
  config_.val_size = 0.1;
  const auto training = open(DataPart::kTraining);
  const auto validation = open(DataPart::kEvaluation);
  ASSERT_THAT(training, SizeIs(2));
  ASSERT_THAT(validation, SizeIs(2));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(training[i]->documents() + validation[i]->documents(), 500);
    EXPECT_GT(validation[i]->documents(), 20);
  }
}

TEST_F(DatasetsTest, ANumberIsSetAsideOfAllDatasetsTogether) {
  config_.datasets = {rows("a.txt", 0, 30), rows("b.txt", 30, 60)};
  config_.val_size = 7;
  const auto validation = open(DataPart::kEvaluation);
  ASSERT_THAT(validation, SizeIs(1));
  EXPECT_EQ(validation[0]->documents(), 7);
  EXPECT_EQ(open(DataPart::kTraining).at(0)->documents(), 53);
}

TEST_F(DatasetsTest, DuplicatesAreLeftOutAcrossDatasets) {
  config_.datasets = {rows("a.txt", 0, 30), rows("b.txt", 20, 40)};
  config_.tokenize.deduplicate = true;
  const auto sets = open(DataPart::kTraining);
  ASSERT_THAT(sets, SizeIs(1));
  EXPECT_EQ(sets[0]->documents(), 40);
}

TEST_F(DatasetsTest, RowsOfShardsCannotBeSplitOrCompared) {
  config_.datasets = {shards(false, data::Document::kNoLabel)};
  EXPECT_THAT(open(DataPart::kTraining), SizeIs(1));
  config_.val_size = 0.5;
  EXPECT_THAT(refusal(), HasSubstr("holds shards, and val_size needs their rows"));
  config_.val_size.reset();
  config_.tokenize.deduplicate = true;
  EXPECT_THAT(refusal(), HasSubstr("holds shards, and deduplicate needs their rows"));
}

TEST_F(DatasetsTest, PreferencePairsAreRefusedWithWhatToDo) {
  config_.datasets = {shards(true, data::Document::kNoLabel)};
  EXPECT_THAT(refusal(), HasSubstr("holds preference pairs, which weft train cannot train on yet; "
                                   "set 'preference: chosen'"));
}

TEST_F(DatasetsTest, JudgedAnswersAreRefusedWithWhatToDo) {
  config_.datasets = {shards(false, data::Document::kUndesirable)};
  EXPECT_THAT(refusal(), HasSubstr("holds answers judged good or bad (KTO)"));
}

TEST_F(DatasetsTest, ChosenAnswersAreTrainedLikeAnyOthers) {
  publish_file(files_, folder_ / "p.jsonl", R"({"prompt": "p", "chosen": "c", "rejected": "r"})");
  config_.datasets = {{.path = folder_ / "p.jsonl"}};
  EXPECT_THAT(refusal(), HasSubstr((folder_ / "p.jsonl").string() + ": holds preference pairs"));
  config_.datasets[0].preference = "chosen";
  EXPECT_EQ(open(DataPart::kTraining).at(0)->documents(), 1);
}

}  // namespace
}  // namespace weft::trainer
