// Verbs that read and write JSON lines: order, bad lines, readers that go away.

#include "base/json.h"
#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = text.find('\n', begin);
    lines.push_back(parse_json(text.substr(begin, end - begin), "line"));
    begin = end + 1;
  }
  return lines;
}

std::vector<std::string> score_command() { return {"score", "--model", tiny_model().string()}; }

TEST(Streams, ScoresComeInTheOrderOfTheRowsWhateverTheBatches) {
  std::string input;
  for (int i = 0; i < 50; ++i) {
    input += fmt::format("{{\"ids\": [{}, {}, 7]}}\n", i + 1, 2 * i + 1);
  }
  const ProcessResult whole = weft(score_command(), input);
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  auto small = score_command();
  small.insert(small.end(), {"--batch-tokens", "4"});
  const std::vector<Json> rows = lines_of(whole.out);
  const std::vector<Json> one_by_one = lines_of(weft(small, input).out);
  ASSERT_EQ(rows.size(), 50U);
  ASSERT_EQ(one_by_one.size(), 50U);
  for (std::size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(rows[i].at("ids").at(0), i + 1);
    EXPECT_TRUE(rows[i].at("logprobs").at(0).is_null());
    EXPECT_NEAR(rows[i].at("logprobs").at(2).get<double>(),
                one_by_one[i].at("logprobs").at(2).get<double>(), 1e-5);
  }
}

TEST(Streams, AnAdapterChangesTheScores) {
  auto with = score_command();
  with.insert(with.end(), {"--adapter", tiny_adapter().string()});
  const ProcessResult result = weft(with, "{\"ids\": [1, 2, 3]}\n");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out, weft(score_command(), "{\"ids\": [1, 2, 3]}\n").out);
}

TEST(Streams, ABadLineIsNamedByItsNumber) {
  const ProcessResult result = weft(score_command(), "{\"ids\": [1, 2]}\n{\"ids\": [1, 2}\n");
  expect_refused(result, 3, {"standard input:2"});
  EXPECT_EQ(lines_of(result.out).size(), 1U) << "the answer to the row before";
  expect_refused(weft(score_command(), "{\"ids\": [1, 2000]}\n"), 3,
                 {"standard input:1", "2000", "vocabulary of 257"});
  expect_refused(weft(score_command(), "{\"id\": [1, 2]}\n"), 3,
                 {"standard input:1", "exactly one of 'ids', 'text' and 'messages'"});
}

TEST(Streams, AReaderThatGoesAwayIsAnErrorAndNoDeath) {
  std::string input;
  for (int i = 0; i < 2000; ++i) {
    input += "{\"ids\": [1, 2, 3, 4, 5, 6, 7, 8]}\n";
  }
  const TempFolder temp;
  put(temp / "rows.jsonl", input);
  const std::string command = fmt::format(
      "{} score --model {} --batch-tokens 16 < {} 2> {} | head -n 1; exit ${{PIPESTATUS[0]}}",
      weft_command({}).front(), tiny_model().string(), (temp / "rows.jsonl").string(),
      (temp / "err").string());
  const ProcessResult result = run_process({"bash", "-c", command});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(lines_of(result.out).size(), 1U);
  EXPECT_THAT(content(temp / "err"), HasSubstr("standard output"));
}

TEST(Streams, AProfileSaysWhatTakesTheTime) {
  const TempFolder temp;
  std::vector<std::string> command = train_arguments(temp / "out");
  command.insert(command.end(), {"--profile", (temp / "trace.json").string()});
  const ProcessResult result = weft(command);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* phase : {"attention backward", "gate, up", "head", "optimizer", "saving"}) {
    EXPECT_THAT(result.out, HasSubstr(phase));
  }
  const Json trace = parse_json(content(temp / "trace.json"), "trace");
  // Two layers, two micro-batches a step, two steps.
  EXPECT_EQ(std::count_if(trace.at("traceEvents").begin(), trace.at("traceEvents").end(),
                          [](const Json& event) { return event.at("name") == "attention"; }),
            8);
}

TEST(Streams, AProfileThatCannotBeWrittenIsFoundBeforeTheRun) {
  const TempFolder temp;
  std::vector<std::string> command = train_arguments(temp / "out");
  command.insert(command.end(), {"--profile", (temp / "nowhere/trace.json").string()});
  expect_refused(weft(command), 3, {"nowhere"});
  EXPECT_FALSE(fs::exists(temp / "out"));
}

TEST(Streams, TokenizerVerbsAreInverse) {
  const std::string model = (fixtures() / "tokenizer/tiny_bpe").string();
  const std::string text = "{\"text\":\"A warp, a weft: größer\"}\n";
  const ProcessResult ids = weft({"tokenizer", "encode", "--model", model}, text);
  ASSERT_EQ(ids.exit_code, 0) << ids.err;
  const ProcessResult back = weft({"tokenizer", "decode", "--model", model}, ids.out);
  ASSERT_EQ(back.exit_code, 0) << back.err;
  EXPECT_EQ(lines_of(back.out).at(0), lines_of(text).at(0));
  expect_refused(weft({"tokenizer", "decode", "--model", model}, "{\"ids\": [-1]}\n"), 3,
                 {"standard input:1", "-1"});
  expect_refused(weft({"tokenizer", "encode", "--model", (fixtures() / "nowhere").string()}, ""), 3,
                 {"nowhere"});
}

}  // namespace
}  // namespace weft::test
