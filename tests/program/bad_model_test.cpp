// Model and adapter folders that are missing, damaged or of the wrong kind, as the program meets
// them. Each is refused in one line that names the file, with exit code 3 (what is in a file) or 2
// (what was asked for).

#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

class BadModel : public ::testing::Test {
 protected:
  void SetUp() override {
    copy_folder(tiny_model(), model_);
    copy_folder(fixtures() / "model/untied_gqa2", sharded_);
    copy_folder(tiny_adapter(), adapter_);
  }

  ProcessResult score(const fs::path& model) {
    return weft({"score", "--model", model.string()}, "{\"ids\": [1, 2, 3]}\n");
  }
  ProcessResult merge() {
    return weft({"merge", "--model", model_.string(), "--adapter", adapter_.string(), "--out",
                 (temp_ / "merged").string()});
  }
  // Replaces `from`, which must be there, in a text file.
  void edit(const fs::path& path, const std::string& from, const std::string& to) {
    std::string text = content(path);
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << path << " does not hold " << from;
    put(path, text.replace(at, from.size(), to));
  }
  void cut(const fs::path& path, std::uintmax_t bytes) {
    fs::resize_file(path, fs::file_size(path) - bytes);
  }

  TempFolder temp_;
  fs::path model_ = temp_ / "model";
  fs::path sharded_ = temp_ / "sharded";
  fs::path adapter_ = temp_ / "adapter";
};

TEST_F(BadModel, AFolderThatIsNotThere) {
  expect_refused(score(temp_ / "nowhere"), 3, {"nowhere", "a model is a folder"});
}

TEST_F(BadModel, AFolderWithoutWeights) {
  fs::remove(model_ / "model.safetensors");
  expect_refused(score(model_), 3, {model_.string(), "neither model.safetensors nor"});
}

TEST_F(BadModel, AFolderWithoutAConfig) {
  fs::remove(model_ / "config.json");
  expect_refused(score(model_), 3, {"config.json"});
}

TEST_F(BadModel, AnotherArchitecture) {
  edit(model_ / "config.json", "Qwen3ForCausalLM", "LlamaForCausalLM");
  expect_refused(score(model_), 3, {"config.json", "LlamaForCausalLM", "Qwen3ForCausalLM"});
}

TEST_F(BadModel, AMixtureOfExpertsIsRefusedByName) {
  edit(model_ / "config.json", "Qwen3ForCausalLM", "Qwen3MoeForCausalLM");
  expect_refused(score(model_), 3, {"Qwen3MoeForCausalLM"});
}

TEST_F(BadModel, AConfigThatIsNotJson) {
  put(model_ / "config.json", "{\"hidden_size\": 48,}");
  expect_refused(score(model_), 3, {"config.json"});
}

TEST_F(BadModel, AConfigWithOneKeyTwice) {
  edit(model_ / "config.json", "\"hidden_size\": 48", "\"hidden_size\": 48, \"hidden_size\": 64");
  expect_refused(score(model_), 3, {"config.json", "hidden_size", "twice"});
}

TEST_F(BadModel, WeightsThatAreCutShort) {
  cut(model_ / "model.safetensors", 100);
  expect_refused(score(model_), 3, {"model.safetensors", "cut short"});
}

TEST_F(BadModel, WeightsWithABrokenHeader) {
  std::string text = content(model_ / "model.safetensors");
  text[8] = '[';
  put(model_ / "model.safetensors", text);
  expect_refused(score(model_), 3, {"model.safetensors", "header"});
}

TEST_F(BadModel, WeightsThatAreAnEmptyFile) {
  put(model_ / "model.safetensors", "");
  expect_refused(score(model_), 3, {"model.safetensors"});
}

TEST_F(BadModel, WeightsOfAnotherShape) {
  edit(model_ / "config.json", "\"intermediate_size\": 109", "\"intermediate_size\": 110");
  expect_refused(score(model_), 3, {"gate_proj", "[109, 48]", "config.json asks for"});
}

TEST_F(BadModel, AMissingShard) {
  fs::remove(sharded_ / "model-00002-of-00003.safetensors");
  expect_refused(score(sharded_), 3, {"model-00002-of-00003.safetensors"});
}

TEST_F(BadModel, AnIndexThatLeavesTheFolder) {
  edit(sharded_ / "model.safetensors.index.json", "\"model-00002-of-00003.safetensors\"",
       "\"../model/model.safetensors\"");
  expect_refused(score(sharded_), 3,
                 {sharded_.string(), "../model/model.safetensors", "plain name"});
}

TEST_F(BadModel, AnAdapterForAnotherBase) {
  fs::remove_all(adapter_);
  copy_folder(fixtures() / "lora/head_128", adapter_);
  const ProcessResult result = weft({"merge", "--model", model_.string(), "--adapter",
                                     adapter_.string(), "--out", (temp_ / "merged").string()});
  expect_refused(result, 3, {"adapter_model.safetensors", "for this base"});
  EXPECT_FALSE(fs::exists(temp_ / "merged"));
}

TEST_F(BadModel, AnAdapterWithoutItsWeights) {
  fs::remove(adapter_ / "adapter_model.safetensors");
  expect_refused(merge(), 3, {"adapter_model.safetensors"});
  EXPECT_FALSE(fs::exists(temp_ / "merged"));
}

TEST_F(BadModel, AnAdapterThatIsNotLora) {
  edit(adapter_ / "adapter_config.json", "\"LORA\"", "\"IA3\"");
  expect_refused(merge(), 3, {"adapter_config.json", "IA3"});
}

TEST_F(BadModel, AnAdapterThatIsCutShort) {
  cut(adapter_ / "adapter_model.safetensors", 8);
  expect_refused(merge(), 3, {"adapter_model.safetensors", "cut short"});
}

TEST_F(BadModel, AMergeNeverTouchesWhatIsThere) {
  put(temp_ / "merged/notes.txt", "mine");
  expect_refused(merge(), 2, {"merged"});
  EXPECT_EQ(content(temp_ / "merged/notes.txt"), "mine");
}

}  // namespace
}  // namespace weft::test
