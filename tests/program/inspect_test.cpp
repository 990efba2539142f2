// weft inspect: what it prints of shards, models, adapters and checkpoints, and what it refuses.

#include "base/json.h"
#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Inspect : public ::testing::Test {
 protected:
  void SetUp() override {
    put(temp_ / "chats.jsonl", R"({"messages": [{"role": "user", "content": "A warp?"},)"
                               R"( {"role": "assistant", "content": "A weft: größer \u001b[31m"}]})"
                               "\n"
                               R"({"messages": [{"role": "user", "content": "More"},)"
                               R"( {"role": "assistant", "content": "No"}]})"
                               "\n");
    put(temp_ / "notes.txt", "a plain text\nanother <one>\n");
    put(temp_ / "tokenize.yaml",
        fmt::format("model_name_or_path: {}\ndatasets: [{}, {}]\noutput_dir: {}\n", tokenizer(),
                    (temp_ / "chats.jsonl").string(), (temp_ / "notes.txt").string(), shards()));
    const ProcessResult made = weft({"tokenize", (temp_ / "tokenize.yaml").string()});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }

  static std::string tokenizer() { return (fixtures() / "tokenizer/tiny_bpe").string(); }
  [[nodiscard]] std::string shards() const { return (temp_ / "shards").string(); }

  std::string inspect(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "inspect");
    const ProcessResult result = weft(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }
  void refused(std::vector<std::string> arguments, int code,
               const std::vector<std::string>& parts) {
    arguments.insert(arguments.begin(), "inspect");
    expect_refused(weft(arguments), code, parts);
  }

  TempFolder temp_;
};

TEST_F(Inspect, StatisticsOfShards) {
  const std::string text = inspect({shards()});
  EXPECT_THAT(text, HasSubstr("chats.jsonl"));
  EXPECT_THAT(text, HasSubstr("(all)"));
  EXPECT_THAT(text, HasSubstr("documents by length in tokens"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  const Json json = parse_json(inspect({shards(), "--json"}), "json");
  EXPECT_EQ(json["documents"], 4);
  EXPECT_EQ(json["model"], tokenizer());
  EXPECT_EQ(json["sources"][1]["documents"], 2);
  // One shard alone says the same.
  const Json alone = parse_json(inspect({shards() + "/shard-00000.h5", "--json"}), "json");
  EXPECT_EQ(alone["tokens"], json["tokens"]);
  EXPECT_EQ(alone["lengths"], json["lengths"]);
}

TEST_F(Inspect, ADocumentShowsTargetsAndControlTokensAndNothingRaw) {
  const std::string text = inspect({shards(), "--document", "0"});
  EXPECT_THAT(text, HasSubstr("document 0 (source 0, "));
  EXPECT_THAT(text, HasSubstr("‹<|im_start|>›user\nA warp?‹<|im_end|>›"));
  EXPECT_THAT(text, HasSubstr("⟦"));
  EXPECT_THAT(text, HasSubstr("A weft: größer \\x1b[31m‹<|im_end|>›⟧"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(inspect({shards(), "--document", "0", "--tokens"}), HasSubstr("│"));
  const Json json = parse_json(inspect({shards(), "--document", "3", "--json"}), "json");
  EXPECT_THAT(json["text"].get<std::string>(), HasSubstr("another <one>"));
  EXPECT_EQ(json["ids"].size(), json["mask"].size());
}

TEST_F(Inspect, DocumentsAreFoundByTextSourceAndChance) {
  EXPECT_THAT(inspect({shards(), "--grep", "weft"}), HasSubstr("document 0 (source 0"));
  const std::string notes = inspect({shards(), "--grep", "a", "--source", "notes"});
  EXPECT_THAT(notes, HasSubstr("document 2 (source 1"));
  EXPECT_THAT(notes, Not(HasSubstr("document 0 (source 0")));
  EXPECT_THAT(inspect({shards(), "--grep", "a", "--source", "1", "--limit", "1"}),
              Not(HasSubstr("document 3")));
  const std::string drawn = inspect({shards(), "--random", "2", "--seed", "5"});
  EXPECT_EQ(drawn, inspect({shards(), "--random", "2", "--seed", "5"}));
  refused({shards(), "--random", "1", "--source", "nowhere"}, 2,
          {"--source nowhere: no document is of it", "notes.txt"});
  refused({shards(), "--document", "9"}, 2, {"--document 9", "documents 0 to 3"});
}

TEST_F(Inspect, PreferencesAreNamed) {
  put(temp_ / "pairs.jsonl", R"({"prompt": "a ", "chosen": "b", "rejected": "c"})"
                             "\n");
  put(temp_ / "judged.jsonl", R"({"prompt": "a", "completion": "b", "label": true})"
                              "\n"
                              R"({"prompt": "a", "completion": "c", "label": false})"
                              "\n");
  const std::string out = (temp_ / "preferred").string();
  put(temp_ / "tokenize.yaml",
      fmt::format("model_name_or_path: {}\ndatasets: [{}, {}]\noutput_dir: {}\n", tokenizer(),
                  (temp_ / "pairs.jsonl").string(), (temp_ / "judged.jsonl").string(), out));
  ASSERT_EQ(weft({"tokenize", (temp_ / "tokenize.yaml").string()}).exit_code, 0);
  EXPECT_THAT(inspect({out}), HasSubstr("preference pairs: 1; judged good: 1, bad: 1"));
  const auto title = [&](const char* number) { return inspect({out, "--document", number}); };
  EXPECT_THAT(title("0"), HasSubstr("targets, chosen over document 1"));
  EXPECT_THAT(title("1"), HasSubstr("targets, rejected for document 0"));
  EXPECT_THAT(title("2"), HasSubstr("targets, judged good"));
  EXPECT_THAT(title("3"), HasSubstr("targets, judged bad"));
  const Json json = parse_json(inspect({out, "--document", "1", "--json"}), "json");
  EXPECT_EQ(json["chosen"], 0);
  EXPECT_EQ(json["rejected"], -1);
  EXPECT_EQ(json["label"], -1);
}

TEST_F(Inspect, PagesAreWritten) {
  const std::string page = (temp_ / "page.html").string();
  (void)inspect({shards(), "--document", "3", "--html", page});
  EXPECT_THAT(content(page), HasSubstr("an<span class=\"target\">other &lt;one&gt;</span>"));
  EXPECT_THAT(content(page), HasSubstr("class=\"target\""));
  (void)inspect({shards(), "--html", page});
  EXPECT_THAT(content(page), HasSubstr("What became of the rows"));
  EXPECT_EQ(content(page), content(temp_ / "shards/report.html"));
}

TEST_F(Inspect, DamageIsFoundWhenAskedFor) {
  EXPECT_THAT(inspect({shards(), "--verify"}),
              HasSubstr("every checksum and every value verified"));
  std::string bytes = content(temp_ / "shards/shard-00000.h5");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  put(temp_ / "shards/shard-00000.h5", bytes);
  refused({shards(), "--verify"}, 3, {"shard-00000.h5", "SHA-256"});
  refused({shards() + "/shard-00000.h5", "--verify"}, 3, {"shard-00000.h5", "SHA-256"});
}

TEST_F(Inspect, ATokenizerThatDidNotMakeThemIsRefused) {
  refused({shards(), "--document", "0", "--model", tiny_model().string()}, 3,
          {"the shards were made with", "--model"});
  fs::remove(temp_ / "shards/report.json");
  refused({shards(), "--document", "0"}, 2, {"its tokenizer is not recorded", "--model"});
  EXPECT_THAT(inspect({shards(), "--document", "0", "--model", tokenizer()}), HasSubstr("A warp?"));
  EXPECT_THAT(inspect({shards()}), HasSubstr("(all)"));
}

TEST_F(Inspect, WhatIsNoShardIsSaid) {
  refused({(temp_ / "nowhere").string()}, 3, {"nowhere: no such file or folder"});
  refused({(temp_ / "notes.txt").string()}, 3, {"notes.txt"});
  fs::create_directory(temp_ / "empty");
  refused({(temp_ / "empty").string()}, 3, {"holds nothing that weft knows", "shards.json"});
  refused({tiny_model().string(), "--grep", "x"}, 2, {"is no folder of shards"});
}

TEST(InspectFolders, AModel) {
  const ProcessResult text = weft({"inspect", tiny_model().string(), "--verify"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("every value is finite"));
  const ProcessResult json = weft({"inspect", tiny_model().string(), "--json"});
  const Json found = parse_json(json.out, "json");
  EXPECT_EQ(found["kind"], "model");
  EXPECT_EQ(found["architecture"]["tie_word_embeddings"], true);
  EXPECT_TRUE(found["problems"].empty());
}

TEST(InspectFolders, AModelWhoseWeightsDoNotFit) {
  const TempFolder temp;
  copy_folder(tiny_model(), temp / "model");
  std::string config = content(temp / "model/config.json");
  Json json = parse_json(config, "config");
  json["num_hidden_layers"] = json["num_hidden_layers"].get<int>() + 1;
  json["intermediate_size"] = json["intermediate_size"].get<int>() + 8;
  if (json.contains("layer_types")) {
    json.erase("layer_types");
  }
  put(temp / "model/config.json", dump_json(json));
  const ProcessResult result = weft({"inspect", (temp / "model").string()});
  expect_refused(result, 3, {"missing: ", "config.json makes it"});
  EXPECT_THAT(result.out, HasSubstr("parameters"));
}

TEST(InspectFolders, AnAdapterAndWhetherItFits) {
  const Json found = parse_json(
      weft({"inspect", tiny_adapter().string(), "--json", "--model", tiny_model().string()}).out,
      "json");
  EXPECT_EQ(found["kind"], "adapter");
  EXPECT_TRUE(found["rank"].is_number());
  EXPECT_TRUE(found["problems"].empty());
  expect_refused(weft({"inspect", tiny_adapter().string(), "--model",
                       (fixtures() / "model/one_layer").string()}),
                 3, {"tied_gqa1"});
}

TEST(InspectFolders, ARunAndItsCheckpoints) {
  const TempFolder temp;
  ASSERT_EQ(weft(train_arguments(temp / "out")).exit_code, 0);
  const ProcessResult run = weft({"inspect", (temp / "out").string()});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("checkpoint-000002, checkpoint-000001"));
  const std::string folder = (temp / "out/checkpoint-000002").string();
  const Json found = parse_json(weft({"inspect", folder, "--json", "--verify"}).out, "json");
  EXPECT_EQ(found["step"], 2);
  EXPECT_EQ(found["adapter"]["kind"], "adapter");
  std::string bytes = content(fs::path(folder) / "optimizer.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  put(fs::path(folder) / "optimizer.safetensors", bytes);
  expect_refused(weft({"inspect", folder, "--verify"}), 3, {"optimizer.safetensors"});
}

}  // namespace
}  // namespace weft::test
