// What may be given as a dataset: compressed files, tables, folders, patterns, samples.
#include <gmock/gmock.h>

#include "reader_test_support.h"
#include "tokenize_folder_test.h"

namespace weft::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::UnorderedElementsAreArray;

class TokenizeInputsTest : public TokenizeFolderTest {};

TEST_F(TokenizeInputsTest, CompressedFilesGiveTheShardsOfPlainOnes) {
  std::vector<std::vector<ShardEntry>> made;
  for (const char* name : {"rows.jsonl.gz", "members.jsonl.gz", "frames.jsonl.zst"}) {
    fs::remove_all(out());
    made.push_back(tokenize({{.path = kInputFixtures / name}}).manifest.shards);
    EXPECT_THAT(texts(), SizeIs(400));
    EXPECT_EQ(texts()[2], "row 2 😀😀");
  }
  fs::remove_all(out());
  (void)tokenize({input("a.txt.gz", read_file(files_, kInputFixtures / "rows.jsonl.gz"))});
  EXPECT_THAT(texts()[0], HasSubstr("{\"text\": \"row 0 "));
}

TEST_F(TokenizeInputsTest, TablesAndArraysAreRowsOfJson) {
  TokenizeInput table = input("a.csv", "q,a\nhi,\"y\"\"o\"\n");
  table.prompt_field = "q";
  table.response_field = "a";
  (void)tokenize({table, input("b.tsv", "id\ttext\n1\tline\n"),
                  input("c.json", "[{\"text\": \"one\"},\n {\"text\": \"two\"}]")});
  const std::vector<std::string> found = texts();
  ASSERT_THAT(found, SizeIs(4));
  EXPECT_THAT(found[0], HasSubstr("y\"o"));
  EXPECT_THAT(std::vector(found.begin() + 1, found.end()), ElementsAre("line", "one", "two"));
}

TEST_F(TokenizeInputsTest, AFirstRowThatIsNotJsonIsAnsweredWithWhatIsExpected) {
  EXPECT_THAT(refusal("a.json", "{\n  \"text\": \"laid out for people\"\n}\n"),
              HasSubstr("a.json:1"));
  EXPECT_THAT(refusal("a.json", "{\n  \"text\": \"laid out for people\"\n}\n"),
              HasSubstr("; expected one JSON object on each line, or one array of objects"));
  EXPECT_THAT(refusal("a.json", "[3]"), HasSubstr("a.json:1: is not a JSON object"));
}

TEST_F(TokenizeInputsTest, FoldersAndPatternsAreTheirFilesInOrder) {
  put("in/b.txt", "b");
  put("in/a.txt", "a");
  put("in/x/c.txt", "c");
  (void)tokenize({{.path = folder_ / "in"}, {.path = folder_ / "in/**/?.txt"}});
  EXPECT_THAT(texts(), ElementsAre("a", "b", "c", "a", "b", "c"));
}

TEST_F(TokenizeInputsTest, ASampleIsExactAndRepeats) {
  std::string rows;
  for (int i = 0; i < 100; ++i) {
    rows += fmt::format("{}\n\n", i);
  }
  TokenizeInput sampled = input("a.txt", rows);
  sampled.path += "#10";
  (void)tokenize({sampled});
  const auto first = texts();
  EXPECT_THAT(first, SizeIs(10));
  const auto again = [&](const TokenizeInput& same) {
    fs::remove_all(out());
    (void)tokenize({same});
    return texts();
  };
  EXPECT_EQ(again({.path = folder_ / "a.txt", .sample = 10}), first);
  EXPECT_NE(again({.path = folder_ / "a.txt", .sample = 10, .sample_seed = 1}), first);
  EXPECT_THAT(again({.path = folder_ / "a.txt", .sample = 100}), SizeIs(100));
}

TEST_F(TokenizeInputsTest, ASampleIsDrawnOverAllFilesOfAFolder) {
  put("in/a.txt", "1\n2\n3\n");
  put("in/b.txt", "4\n5\n6\n");
  (void)tokenize({{.path = folder_ / "in#6"}});
  EXPECT_THAT(texts(), ElementsAre("1", "2", "3", "4", "5", "6"));
}

TEST_F(TokenizeInputsTest, MoreRowsThanThereAreCannotBeDrawn) {
  const fs::path path = put("a.txt", "1\n\n2\n");
  EXPECT_THAT(error_of([&] { (void)tokenize({{.path = path, .sample = 3}}); }),
              HasSubstr("a.txt: has 2 rows, a sample of 3 was asked for"));
}

TEST_F(TokenizeInputsTest, MaxSamplesIsTheFirstRowsOverAllFiles) {
  put("in/a.txt", "1\n\n2\n");
  put("in/b.txt", "3\n4\n");
  (void)tokenize({{.path = folder_ / "in", .max_samples = 3}});
  EXPECT_THAT(texts(), ElementsAre("1", "2", "3"));
  fs::remove_all(out());
  (void)tokenize({{.path = folder_ / "in", .max_samples = 99}});
  EXPECT_THAT(texts(), SizeIs(4));
}

TEST_F(TokenizeInputsTest, AFileWhoseNameHasANumberSignIsThatFile) {
  put("notes#3", "whole\n");
  (void)tokenize({{.path = folder_ / "notes#3"}});
  EXPECT_THAT(texts(), ElementsAre("whole"));
}

TEST_F(TokenizeInputsTest, LimitsThatContradictEachOtherAreConfigErrors) {
  const fs::path path = put("a.txt", "1\n2\n");
  const auto refused = [&](const TokenizeInput& made) {
    return error_of([&] { (void)tokenize({made}); }, ErrorKind::kConfig);
  };
  EXPECT_THAT(refused({.path = path, .sample = 1, .max_samples = 1}),
              HasSubstr("sample and max_samples both limit the rows"));
  EXPECT_THAT(refused({.path = path.string() + "#1", .sample = 1}), HasSubstr("both the path and"));
  EXPECT_THAT(refused({.path = path, .sample = 0}), HasSubstr("sample is 0, expected 1 or more"));
}

TEST_F(TokenizeInputsTest, ASampleChangesTheFingerprint) {
  const fs::path path = put("a.txt", "1\n2\n3\n");
  const auto fingerprint = [&](const TokenizeInput& made) {
    return tokenize_fingerprint(files_, std::vector{made}, tokenizer_, {});
  };
  EXPECT_NE(fingerprint({.path = path}), fingerprint({.path = path, .sample = 2}));
  EXPECT_NE(fingerprint({.path = path, .sample = 2}),
            fingerprint({.path = path, .max_samples = 2}));
  EXPECT_NE(fingerprint({.path = path, .sample = 2}),
            fingerprint({.path = path, .sample = 2, .sample_seed = 1}));
}

}  // namespace
}  // namespace weft::data
