#include "data/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/json.h"
#include "data/chat.h"
#include "data/tokenize_config.h"
#include "tests/data/tokenize_test_support.h"
#include "tests/data/tokenizer_test_support.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft::data {

namespace {

using test::caught;
using testing::HasSubstr;

/// The hybrid's own text, from the folder of test data.
std::optional<std::string> published() {
  const auto folder = real_tokenizer_folder();
  if (!folder) return std::nullopt;
  return read_file(posix_file_system(), *folder / "chat_template.jinja");
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

constexpr std::string_view kOptional = R"(    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %})";

TEST(ChatTemplate, NamesComeBack) {
  for (const ChatTemplate format :
       {ChatTemplate::kQwen3, ChatTemplate::kQwen3Instruct2507, ChatTemplate::kQwen3Thinking2507}) {
    EXPECT_EQ(chat_template_from_name(chat_template_name(format)), format);
  }
  EXPECT_EQ(chat_template_from_name("chatml"), std::nullopt);
}

TEST(ChatTemplate, RecognisesThePublishedTextAndEditsThatWriteTheSame) {
  const auto text = published();
  if (!text) GTEST_SKIP() << "set WEFT_TEST_DATA to the folder that holds qwen3-tokenizer/";
  EXPECT_EQ(recognise_chat_template(*text), ChatTemplate::kQwen3);
  EXPECT_EQ(recognise_chat_template(*text + "\n\n"), ChatTemplate::kQwen3);
  EXPECT_EQ(recognise_chat_template("{#- Edited. #}" + *text), ChatTemplate::kQwen3);
  EXPECT_EQ(recognise_chat_template(
                replaced(*text, kOptional, R"(    {{- '<|im_start|>assistant\n<think>\n' }})")),
            ChatTemplate::kQwen3Thinking2507);
}

TEST(ChatTemplate, DoesNotGuessAtOtherTemplates) {
  EXPECT_EQ(recognise_chat_template(""), ChatTemplate::kUnknown);
  EXPECT_EQ(recognise_chat_template("{% for m in messages %}<|im_start|>{{ m.role }}{% endfor %}"),
            ChatTemplate::kUnknown);
  const auto text = published();
  if (!text) GTEST_SKIP() << "set WEFT_TEST_DATA to the folder that holds qwen3-tokenizer/";
  EXPECT_EQ(recognise_chat_template(replaced(*text, "last_query_index=messages", "x=messages") +
                                    "{% if preserve_thinking %}{% endif %}"),
            ChatTemplate::kUnknown);
  EXPECT_EQ(
      recognise_chat_template(replaced(*text, R"(\n<think>\n' + reasoning)", R"(\n' + reasoning)")),
      ChatTemplate::kUnknown);
  EXPECT_EQ(recognise_chat_template(replaced(*text, kOptional, "")), ChatTemplate::kUnknown);
}

TEST(ChatTemplate, IsReadAndNeverRun) {
  const auto text = published().value_or("");
  const Json row = {{"messages", {{{"role", "user"}, {"content", "a"}}}}};
  for (const std::string& code :
       {std::string("{% include '/etc/passwd' %}"), std::string("{{ x.__class__.__mro__ }}"),
        std::string(
            "{% for i in range(10**12) %}{% for j in range(10**12) %}{% endfor %}{% endfor %}"),
        std::string("{% unheard_of %}"), std::string(1 << 20, '{')}) {
    ChatOptions options;
    options.format = recognise_chat_template(code);
    EXPECT_EQ(options.format, ChatTemplate::kUnknown) << code.substr(0, 40);
    EXPECT_THAT(
        caught([&] { (void)render_chat_samples(ByteTokenizer(), row, options, "row"); }).what(),
        HasSubstr("chat_template"));
    // What is added to a known one is not run either.
    const ChatTemplate known = recognise_chat_template(text + code);
    EXPECT_TRUE(known == ChatTemplate::kUnknown || known == ChatTemplate::kQwen3);
  }
}

TEST(ChatTemplate, FindsAFoldersTemplate) {
  FileSystem& files = posix_file_system();
  const test::TempFolder folder;
  EXPECT_EQ(find_chat_template(files, folder.path()), ChatTemplate::kQwen3);
  write_file(folder / "tokenizer_config.json", R"({"chat_template": "x"})");
  EXPECT_EQ(read_chat_template(files, folder.path()), "x");
  EXPECT_EQ(find_chat_template(files, folder.path()), ChatTemplate::kUnknown);
  write_file(folder / "tokenizer_config.json",
             R"({"chat_template": [{"name": "tool_use", "template": "y"},
                                   {"name": "default", "template": "z"}]})");
  EXPECT_EQ(read_chat_template(files, folder.path()), "z");
  write_file(folder / "tokenizer_config.json", R"({"chat_template": 5})");
  EXPECT_THAT(caught([&] { (void)read_chat_template(files, folder.path()); }).what(),
              HasSubstr("\"chat_template\" must be a string"));
  write_file(folder / "chat_template.jinja", "first");
  EXPECT_EQ(read_chat_template(files, folder.path()), "first");
}

TEST(ChatTemplate, SettingsSayWhichOneAndWhatIsTrained) {
  FileSystem& files = posix_file_system();
  const test::TempFolder folder;
  write_file(folder / "chat_template.jinja", "{{ other }}");
  TokenizeSettings settings;
  EXPECT_EQ(settings.chat_options(files, folder.path()).format, ChatTemplate::kUnknown);
  settings.chat_template = "qwen3-thinking-2507";
  settings.last_turn_only = true;
  settings.empty_think = "prompt";
  settings.multi_turn_reasoning = "split";
  settings.special_tokens = "parse";
  const ChatOptions options = settings.chat_options(files, folder.path());
  EXPECT_EQ(options.format, ChatTemplate::kQwen3Thinking2507);
  EXPECT_EQ(options.train_on, TrainOn::kLast);
  EXPECT_EQ(options.empty_think, EmptyThink::kPrompt);
  EXPECT_EQ(options.reasoning, MultiTurnReasoning::kSplit);
  EXPECT_EQ(options.content, SpecialTokens::kParse);
  settings.train_on = "all";
  EXPECT_THAT(caught([&] { (void)settings.chat_options(files, folder.path()); }).what(),
              HasSubstr("contradict each other"));
  settings.train_on = "none";
  EXPECT_THAT(caught([&] { (void)settings.chat_options(files, folder.path()); }).what(),
              HasSubstr("train_on is 'none', expected assistant, last, all"));
}

}  // namespace

}  // namespace weft::data
