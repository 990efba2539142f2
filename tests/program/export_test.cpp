// weft export of token shards: a pair that weft reads back as the same documents, and what it
// refuses.

#include "base/json.h"
#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

class ExportShards : public ::testing::Test {
 protected:
  void SetUp() override {
    put(temp_ / "rows.jsonl",
        "{\"ids\": [1, 2, 3], \"labels\": [-100, 2, 3]}\n{\"ids\": [4, 5], \"labels\": [4, 5]}\n"
        "{\"ids\": [6, 7, 8, 9], \"labels\": [-100, -100, 8, 9]}\n");
    tokenize("rows.jsonl", "shards");
  }

  void tokenize(const std::string& data, const std::string& out) {
    put(temp_ / "tokenize.yaml",
        fmt::format("model_name_or_path: {}\ndatasets: [{}]\noutput_dir: {}\n",
                    (fixtures() / "tokenizer/tiny_bpe").string(), (temp_ / data).string(),
                    (temp_ / out).string()));
    const ProcessResult made = weft({"tokenize", (temp_ / "tokenize.yaml").string()});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }

  ProcessResult export_to(const std::string& out, std::vector<std::string> more = {},
                          const std::string& form = "megatron") {
    std::vector<std::string> arguments{"export", "--to", form, "--out", (temp_ / out).string()};
    if (more.empty() || more[0] != "--shards") {
      more.insert(more.end(), {"--shards", (temp_ / "shards").string()});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return weft(arguments);
  }

  /// Ids and mask of the three documents.
  std::vector<std::string> documents_of(const std::string& shards) {
    std::vector<std::string> documents;
    for (const char* number : {"0", "1", "2"}) {
      const Json json = parse_json(
          weft({"inspect", (temp_ / shards).string(), "--json", "--document", number}).out, "out");
      const Json& document = json.contains("documents") ? json["documents"][0] : json;
      documents.push_back(dump_json(document["ids"]) + dump_json(document["mask"]));
    }
    return documents;
  }

  TempFolder temp_;
};

TEST_F(ExportShards, MegatronGivesTheSameDocumentsBack) {
  const ProcessResult done = export_to("c");
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("1 tokens are no targets"));
  tokenize("c.idx", "back");
  EXPECT_EQ(documents_of("back"), documents_of("shards"));
  EXPECT_EQ(documents_of("back")[2], "[6,7,8,9][0,0,1,1]");
}

TEST_F(ExportShards, CerebrasGivesTheSameDocumentsBack) {
  ASSERT_EQ(export_to("c", {}, "cerebras").exit_code, 0);
  tokenize("c", "back");
  EXPECT_EQ(documents_of("back"), documents_of("shards"));
  const ProcessResult packed = export_to("p", {"--packed", "--max-length", "20"}, "cerebras");
  ASSERT_EQ(packed.exit_code, 0);
  EXPECT_THAT(packed.err, HasSubstr("3 documents in 1 samples of 20 positions"));
  tokenize("p", "unpacked");
  EXPECT_THAT(documents_of("unpacked"),
              ::testing::UnorderedElementsAreArray(documents_of("shards")));
}

TEST_F(ExportShards, RefusesToOverwriteAndToGuess) {
  put(temp_ / "c.idx", "mine");
  expect_refused(export_to("c"), 2, {"c.idx exists"});
  EXPECT_FALSE(fs::exists(temp_ / "c.bin"));
  expect_refused(export_to("d", {"--shards", (temp_ / "nowhere").string()}), 3, {"nowhere"});
  EXPECT_FALSE(fs::exists(temp_ / "d.bin"));
  expect_refused(weft({"export", "--to", "cerebras", "--out", "d", "--model", "m"}), 2,
                 {"--shards"});
  expect_refused(export_to("d", {"--packed"}), 2, {"for --to cerebras"});
  expect_refused(export_to("shards", {}, "cerebras"), 2, {"shards exists"});
  expect_refused(export_to("d", {"--max-length", "2"}, "cerebras"), 2,
                 {"--max-length 2: a document has 4 tokens, and a sample has room for 3"});
  expect_refused(export_to("d", {"--pad-id", "100000000"}, "cerebras"), 2,
                 {"--pad-id 100000000 is outside"});
  EXPECT_FALSE(fs::exists(temp_ / "d"));
  expect_refused(
      weft({"export", "--shards", (temp_ / "shards").string(), "--out", (temp_ / "e").string()}), 2,
      {"--model and --adapter"});
}

}  // namespace
}  // namespace weft::test
