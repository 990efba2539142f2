// weft export of token shards: a pair that weft reads back as the same documents, and what it
// refuses.

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

  ProcessResult export_to(const std::string& out, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"export", "--to", "megatron", "--out",
                                       (temp_ / out).string()};
    if (more.empty()) {
      more = {"--shards", (temp_ / "shards").string()};
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return weft(arguments);
  }

  std::string ids_of(const std::string& shards) {
    return weft({"inspect", (temp_ / shards).string(), "--json", "--document", "0", "--document",
                 "1", "--document", "2"})
        .out;
  }

  TempFolder temp_;
};

TEST_F(ExportShards, MegatronGivesTheSameDocumentsBack) {
  const ProcessResult done = export_to("c");
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("1 tokens are no targets"));
  tokenize("c.idx", "back");
  const std::string back = ids_of("back");
  for (const char* ids : {"[1,2,3]", "[4,5]", "[6,7,8,9]"}) {
    EXPECT_THAT(ids_of("shards"), HasSubstr(ids));
    EXPECT_THAT(back, HasSubstr(ids));
  }
}

TEST_F(ExportShards, RefusesToOverwriteAndToGuess) {
  put(temp_ / "c.idx", "mine");
  expect_refused(export_to("c"), 2, {"c.idx exists"});
  EXPECT_FALSE(fs::exists(temp_ / "c.bin"));
  expect_refused(export_to("d", {"--shards", (temp_ / "nowhere").string()}), 3, {"nowhere"});
  EXPECT_FALSE(fs::exists(temp_ / "d.bin"));
  expect_refused(export_to("d", {"--model", "m"}), 2, {"--shards"});
  expect_refused(
      weft({"export", "--shards", (temp_ / "shards").string(), "--out", (temp_ / "e").string()}), 2,
      {"--model and --adapter"});
}

}  // namespace
}  // namespace weft::test
