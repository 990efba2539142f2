// Data, shards and numbers that cannot be trained on, as the program meets them.

#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

using ::testing::IsEmpty;

class BadData : public ::testing::Test {
 protected:
  void SetUp() override {
    put(temp_ / "rows.jsonl", content(fixtures() / "lora/train_curve/rows.jsonl"));
    put(temp_ / "tokenize.yaml",
        fmt::format("model_name_or_path: {}\ndatasets: [{}]\noutput_dir: {}\n",
                    tiny_model().string(), (temp_ / "rows.jsonl").string(),
                    (temp_ / "shards").string()));
  }

  ProcessResult train_on(const fs::path& data, const std::vector<std::string>& more = {}) {
    std::vector<std::string> overrides{fmt::format("datasets=[{}]", data.string())};
    overrides.insert(overrides.end(), more.begin(), more.end());
    return weft(train_arguments(temp_ / "out", overrides));
  }
  // The shard file of freshly made shards.
  fs::path shard() {
    const ProcessResult made = weft({"tokenize", (temp_ / "tokenize.yaml").string()});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    return temp_ / "shards/shard-00000.h5";
  }
  void expect_no_adapter() {
    EXPECT_FALSE(fs::exists(temp_ / "out/final"));
    EXPECT_THAT(leftovers(temp_.path()), IsEmpty());
  }

  TempFolder temp_;
};

TEST_F(BadData, ADatasetThatIsNotThere) {
  expect_refused(train_on(temp_ / "nowhere.jsonl"), 2, {"nowhere.jsonl", "does not exist"});
  expect_no_adapter();
}

TEST_F(BadData, ARowThatIsNotJson) {
  put(temp_ / "rows.jsonl", "{\"ids\": [1, 2], \"labels\": [-100, 2]}\n{\"ids\": [1, 2\n");
  expect_refused(train_on(temp_ / "rows.jsonl"), 3, {"rows.jsonl:2"});
  expect_no_adapter();
}

TEST_F(BadData, ATokenOutsideTheVocabulary) {
  put(temp_ / "rows.jsonl", "{\"ids\": [1, 999], \"labels\": [-100, 999]}\n");
  expect_refused(train_on(temp_ / "rows.jsonl"), 3, {"rows.jsonl:1", "999", "257"});
}

TEST_F(BadData, NothingToTrain) {
  put(temp_ / "rows.jsonl", "{\"ids\": [1, 2], \"labels\": [-100, -100]}\n");
  expect_refused(train_on(temp_ / "rows.jsonl"), 3,
                 {"no document is left to train on", "1 had no token to train"});
  expect_no_adapter();
}

TEST_F(BadData, AnEmptyFile) {
  put(temp_ / "rows.jsonl", "");
  const std::string dataset =
      fmt::format("datasets=[{{path: {}, format: ids}}]", (temp_ / "rows.jsonl").string());
  expect_refused(weft(train_arguments(temp_ / "out", {dataset})), 3,
                 {"no document is left to train on: of 0 rows"});
}

TEST_F(BadData, TextForAModelWithoutATokenizer) {
  put(temp_ / "notes.txt", "some text\n");
  expect_refused(train_on(temp_ / "notes.txt"), 3, {tiny_model().string(), "tokenizer"});
}

TEST_F(BadData, ShardsThatAreCutShort) {
  const fs::path path = shard();
  fs::resize_file(path, fs::file_size(path) / 2);
  expect_refused(train_on(temp_ / "shards"), 3, {"shard-00000.h5", "cut short"});
  expect_no_adapter();
}

TEST_F(BadData, AShardWithAByteChanged) {
  const fs::path path = shard();
  std::string bytes = content(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  put(path, bytes);
  expect_refused(train_on(temp_ / "shards"), 3, {"shard-00000.h5"});
}

TEST_F(BadData, AShardThatIsMissing) {
  fs::remove(shard());
  expect_refused(train_on(temp_ / "shards"), 3, {"shard-00000.h5"});
}

TEST_F(BadData, AManifestThatLeavesTheFolder) {
  (void)shard();
  std::string text = content(temp_ / "shards/shards.json");
  const std::string name = "shard-00000.h5";
  text.replace(text.find(name), name.size(), "../other/shard.h5");
  put(temp_ / "shards/shards.json", text);
  expect_refused(train_on(temp_ / "shards"), 3, {"shards.json", "../other/shard.h5", "plain name"});
}

TEST_F(BadData, ShardsOfAnotherTokenizer) {
  (void)shard();
  copy_folder(fixtures() / "model/untied_gqa2", temp_ / "model");
  for (const auto& entry : fs::directory_iterator(fixtures() / "tokenizer/tiny_bpe")) {
    fs::copy(entry.path(), temp_ / "model" / entry.path().filename());
  }
  expect_refused(train_on(temp_ / "shards", {"model_name_or_path=" + (temp_ / "model").string(),
                                             "adapter_name_or_path=''"}),
                 3, {"shards", "tokenizer"});
}

TEST_F(BadData, ALengthBeyondTheModel) {
  expect_refused(train_on(temp_ / "rows.jsonl", {"max_length=4096"}), 2, {"max_length", "256"});
}

TEST_F(BadData, ALossThatIsNotFinite) {
  expect_refused(
      train_on(temp_ / "rows.jsonl",
               {"adapter_name_or_path=''", "learning_rate=1", "lora_alpha=1000000",
                "max_grad_norm=0", "adam_beta2=0.1", "max_steps=100", "save_steps=1000"}),
      4, {"step ", "is not finite; nothing was updated", "learning_rate"});
  expect_no_adapter();
}

}  // namespace
}  // namespace weft::test
