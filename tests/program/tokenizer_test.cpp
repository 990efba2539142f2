// weft tokenizer from outside: rows in and out, conversion, differences and training.

#include "base/json.h"
#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

class TokenizerVerbs : public ::testing::Test {
 protected:
  ProcessResult tokenizer(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), "tokenizer");
    return weft(arguments, input);
  }

  std::string out(const std::string& name) { return (temp_ / name).string(); }

  std::string tiny_ = (fixtures() / "tokenizer/tiny_bpe").string();
  TempFolder temp_;
};

TEST_F(TokenizerVerbs, RowsGoInAndComeBack) {
  const std::string rows = "{\"text\": \"two foxes\"}\n\n{\"text\": \"日本\\n\"}\n";
  const ProcessResult encoded = tokenizer({"encode", "--model", tiny_}, rows);
  ASSERT_EQ(encoded.exit_code, 0) << encoded.err;
  const ProcessResult decoded = tokenizer({"decode", "--model", tiny_}, encoded.out);
  EXPECT_EQ(decoded.out, "{\"text\": \"two foxes\"}\n{\"text\": \"日本\\n\"}\n");
  const ProcessResult bad = tokenizer({"encode", "--model", tiny_}, rows + "oops\n");
  expect_refused(bad, 3, {"standard input:4"});
  EXPECT_EQ(bad.out, encoded.out) << "the rows before it are answered";
  expect_refused(tokenizer({"decode", "--model", tiny_}, "{\"ids\": [-1]}\n"), 3,
                 {"standard input:1", "-1 is not a token id"});
}

TEST_F(TokenizerVerbs, ChatsMarkWhatIsTrained) {
  const std::string row =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})";
  const ProcessResult chat = tokenizer({"chat", "--model", tiny_}, row + "\n");
  ASSERT_EQ(chat.exit_code, 0) << chat.err;
  const Json json = parse_json(chat.out, "out");
  EXPECT_THAT(json["text"].get<std::string>(), HasSubstr("<|im_start|>user\na<|im_end|>"));
  EXPECT_EQ(json["ids"].size(), json["mask"].size());
  expect_refused(tokenizer({"chat", "--model", tiny_}, "{\"messages\": 1}\n"), 3,
                 {"standard input:1"});
}

TEST_F(TokenizerVerbs, ConvertWritesOnlyWhatIsProvedEqual) {
  put(temp_ / "check.txt", "two foxes\n日本 and 12\n");
  const ProcessResult done =
      tokenizer({"convert", "--model", tiny_, "--out", out("c"), "--check", out("check.txt")});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("and 1 file,"));
  EXPECT_TRUE(fs::exists(temp_ / "c/tokenizer.model"));
  expect_refused(tokenizer({"convert", "--model", out("c"), "--out", out("d")}), 3, {"c"});
  expect_refused(
      tokenizer({"convert", "--model", tiny_, "--out", out("d"), "--check", out("none.txt")}), 3,
      {"none.txt"});
  EXPECT_FALSE(fs::exists(temp_ / "d")) << "checked before it is written";
}

TEST_F(TokenizerVerbs, DiffNamesTheFirstBytesThatDiffer) {
  put(temp_ / "corpus.txt", "the fox and the dog\nthe fox and the dog\n");
  ASSERT_EQ(
      tokenizer({"train", out("corpus.txt"), "--out", out("t"), "--vocab-size", "300"}).exit_code,
      0);
  const ProcessResult same = tokenizer({"diff", tiny_, tiny_, "the fox"});
  EXPECT_THAT(same.out, HasSubstr("0 with another id, 0 in A alone, 0 in B alone"));
  EXPECT_THAT(same.out, HasSubstr("0 places cut differently"));
  const ProcessResult other = tokenizer({"diff", tiny_, out("t"), "--file", out("corpus.txt")});
  ASSERT_EQ(other.exit_code, 0) << other.err;
  EXPECT_THAT(other.out, HasSubstr("byte "));
  expect_refused(tokenizer({"diff", tiny_, out("nowhere"), "x"}), 3, {"nowhere"});
}

TEST_F(TokenizerVerbs, TrainTakesFoldersAndKinds) {
  fs::create_directories(temp_ / "corpus");
  put(temp_ / "corpus/a.txt", "the fox and the dog\nthe fox and the dog\n");
  put(temp_ / "corpus/b.json", "[{\"text\": \"der Fuchs\"}]");
  const ProcessResult done = tokenizer({"train", out("corpus"), "--out", out("t"), "--vocab-size",
                                        "300", "--model-type", "unigram", "--tags", "<a>,<b>"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("tokenizer.model: "));
  const ProcessResult encoded =
      tokenizer({"encode", "--model", out("t")}, "{\"text\": \"der Fuchs\"}\n");
  EXPECT_EQ(tokenizer({"decode", "--model", out("t")}, encoded.out).out,
            "{\"text\": \"der Fuchs\"}\n");
  expect_refused(tokenizer({"train", out("corpus"), "--out", out("u"), "--vocab-size", "5"}), 2,
                 {"vocab_size is 5"});
  expect_refused(tokenizer({"train", out("nowhere"), "--out", out("u")}), 3, {"nowhere"});
  EXPECT_FALSE(fs::exists(temp_ / "u"));
}

}  // namespace
}  // namespace weft::test
