#include "data/row_shape.h"

#include <gmock/gmock.h>

#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class RowShapeTest : public testing::Test {
 protected:
  /// The shape that a row is taken for; "" for none.
  std::string guess(std::string_view text) {
    row_ = parse_json(text, "row");
    const RowShape* shape = guess_shape(RowView(row_, fields_, "a.jsonl:1"));
    return shape == nullptr ? "" : std::string(shape->name);
  }
  Sample read(std::string_view text) {
    row_ = parse_json(text, "row");
    const RowView view(row_, fields_, "a.jsonl:1");
    const RowShape* shape = guess_shape(view);
    if (shape == nullptr) {
      ADD_FAILURE() << "no shape for " << text;
      return {};
    }
    return shape->read(view);
  }
  /// The only part's conversation.
  Json chat(std::string_view text) {
    const Sample sample = read(text);
    EXPECT_THAT(sample.parts, SizeIs(1));
    return sample.parts.at(0).conversation;
  }
  std::string refusal(std::string_view text) {
    return error_of([&] { (void)read(text); });
  }

  static Json json(std::string_view text) { return parse_json(text, "expected"); }

  RowFields fields_;
  Json row_;
};

TEST_F(RowShapeTest, RowsAreRecognisedByTheirColumns) {
  EXPECT_EQ(guess(R"({"text": "a", "id": 1})"), "text");
  EXPECT_EQ(guess(R"({"text": null, "id": 1})"), "");
  EXPECT_EQ(guess(R"({"messages": [], "text": "a"})"), "chat");
  EXPECT_EQ(guess(R"({"conversations": "[]"})"), "chat");
  EXPECT_EQ(guess(R"({"instruction": "a", "input": "", "output": "b", "text": "c"})"), "alpaca");
  EXPECT_EQ(guess(R"({"prompt": "a", "completion": "b"})"), "prompt_completion");
  EXPECT_EQ(guess(R"({"prompt": "a", "chosen": "b", "rejected": "c"})"), "preference");
  EXPECT_EQ(guess(R"({"prompt": "a", "completion": "b", "label": false})"), "kto");
  EXPECT_EQ(guess(R"({"messages": [], "label": "True"})"), "kto");
  // A class is no judgement.
  EXPECT_EQ(guess(R"({"text": "a", "label": 1})"), "text");
  EXPECT_EQ(guess(R"({"messages": [], "label": 7})"), "chat");
  EXPECT_EQ(guess(R"({"question": "a", "answer": "b"})"), "");
}

TEST_F(RowShapeTest, OpenAisMessagesStayAsTheyAre) {
  const std::string messages =
      R"([{"role": "system", "content": "s"}, {"role": "user", "content": "u", "name": "n"},)"
      R"( {"role": "assistant", "content": "", "reasoning_content": "r", "tool_calls":)"
      R"( [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},)"
      R"( {"role": "tool", "content": "42", "tool_call_id": "1"},)"
      R"( {"role": "assistant", "content": "done", "weight": 0}])";
  const std::string tools =
      R"([{"type": "function", "function": {"name": "f", "parameters": {}}}])";
  EXPECT_EQ(chat("{\"messages\": " + messages + ", \"tools\": " + tools + ", \"id\": 3}"),
            json("{\"messages\": " + messages + ", \"tools\": " + tools + "}"));
  // Tables hold lists as JSON in a string.
  EXPECT_EQ(chat(dump_json(Json{{"messages", messages}, {"tools", tools}})),
            json("{\"messages\": " + messages + ", \"tools\": " + tools + "}"));
  EXPECT_EQ(chat(R"({"messages": [{"role": "user", "content": "u"}], "tools": "", "system": "s"})"),
            json(R"({"messages": [{"role": "system", "content": "s"},)"
                 R"( {"role": "user", "content": "u"}]})"));
}

TEST_F(RowShapeTest, ThinkingIsTakenAlong) {
  EXPECT_EQ(chat(R"({"messages": [{"role": "user", "content": "u"}], "enable_thinking": false})"),
            json(R"({"messages": [{"role": "user", "content": "u"}], "enable_thinking": false})"));
  EXPECT_EQ(chat(R"({"messages": [{"role": "user", "content": "u"}],)"
                 R"( "chat_template_kwargs": {"enable_thinking": true}})"),
            json(R"({"messages": [{"role": "user", "content": "u"}], "enable_thinking": true})"));
}

TEST_F(RowShapeTest, ShareGptsConversationsWithToolsBecomeMessages) {
  EXPECT_EQ(
      chat(
          R"({"conversations": [{"from": "human", "value": "h"}, {"from": "function_call",)"
          R"( "value": "{\"name\": \"f\", \"arguments\": {\"a\": 1}}"},)"
          R"( {"from": "observation", "value": "42"}, {"from": "gpt", "value": "g", "loss": true}],)"
          R"( "system": "s", "tools": "[{\"name\": \"f\", \"parameters\": {}}]"})"),
      json(
          R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "h"},)"
          R"( {"role": "assistant", "content": "", "tool_calls": [{"type": "function",)"
          R"( "function": {"name": "f", "arguments": {"a": 1}}}]}, {"role": "tool", "content": "42"},)"
          R"( {"role": "assistant", "content": "g", "train": true}],)"
          R"( "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]})"));
}

TEST_F(RowShapeTest, SeveralCallsInOneFunctionCall) {
  const Json made = chat(R"({"conversations": [{"from": "human", "value": "h"},)"
                         R"( {"from": "function_call", "value": "[{\"name\": \"f\", \"arguments\":)"
                         R"( {}}, {\"name\": \"g\", \"arguments\": {}}]"}]})");
  ASSERT_THAT(made["messages"][1]["tool_calls"], SizeIs(2));
  EXPECT_EQ(made["messages"][1]["tool_calls"][1]["function"]["name"], "g");
}

TEST_F(RowShapeTest, TheFieldMapNamesColumnsAndTags) {
  fields_.columns = {{"messages", "dialog"}, {"system", "persona"}};
  fields_.tags = {{"role_tag", "who"}, {"content_tag", "says"}, {"user_tag", "Q"}};
  EXPECT_EQ(
      chat(R"({"dialog": [{"who": "Q", "says": "hi"}, {"who": "assistant", "says": "yo"}],)"
           R"( "persona": "p", "system": "not this"})"),
      json(R"({"messages": [{"role": "system", "content": "p"},)"
           R"( {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]})"));
  fields_ = {.columns = {{"instruction", "q"}, {"output", "a"}, {"input", ""}}, .tags = {}};
  EXPECT_EQ(chat(R"({"q": "hi", "a": "yo", "input": "unrelated"})"),
            json(R"({"messages": [{"role": "user", "content": "hi"},)"
                 R"( {"role": "assistant", "content": "yo"}]})"));
}

TEST_F(RowShapeTest, AlpacaRowsAreChats) {
  EXPECT_EQ(chat(R"({"instruction": "add", "input": "1 2", "output": "3", "system": "s",)"
                 R"( "history": [["hi", "yo"]], "reasoning": "think"})"),
            json(R"({"messages": [{"role": "system", "content": "s"},)"
                 R"( {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"},)"
                 R"( {"role": "user", "content": "add\n1 2"},)"
                 R"( {"role": "assistant", "content": "3", "reasoning_content": "think"}]})"));
  EXPECT_THAT(read(R"({"instruction": "", "input": "", "output": ""})").parts, SizeIs(0));
}

TEST_F(RowShapeTest, APromptIsContextOfItsCompletion) {
  const Sample text = read(R"({"prompt": "The sky is", "completion": " blue."})");
  ASSERT_THAT(text.parts, SizeIs(1));
  EXPECT_TRUE(text.parts[0].conversation.is_null());
  EXPECT_EQ(text.parts[0].prompt, "The sky is");
  EXPECT_EQ(text.parts[0].text, " blue.");
  EXPECT_EQ(chat(R"({"prompt": [{"role": "user", "content": "a"},)"
                 R"( {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],)"
                 R"( "completion": [{"role": "assistant", "content": "d"}]})"),
            json(R"({"messages": [{"role": "user", "content": "a", "train": false},)"
                 R"( {"role": "assistant", "content": "b", "train": false},)"
                 R"( {"role": "user", "content": "c", "train": false},)"
                 R"( {"role": "assistant", "content": "d"}]})"));
}

TEST_F(RowShapeTest, PreferencePairsOfTextShareTheirPrompt) {
  const Sample given = read(R"({"prompt": "p", "chosen": " c", "rejected": " r"})");
  ASSERT_THAT(given.parts, SizeIs(2));
  EXPECT_EQ(given.parts[0].prompt, "p");
  EXPECT_EQ(given.parts[0].text, " c");
  EXPECT_EQ(given.parts[1].prompt, "p");
  EXPECT_EQ(given.parts[1].text, " r");
  // TRL's extract_prompt: what both begin with, without the last space.
  const Sample found = read(R"({"chosen": "The sky is blue.", "rejected": "The sky is green."})");
  EXPECT_EQ(found.parts[0].prompt, "The sky is");
  EXPECT_EQ(found.parts[0].text, " blue.");
  EXPECT_EQ(found.parts[1].text, " green.");
  // Never inside a character: é and è begin with the same byte.
  EXPECT_EQ(read(R"({"chosen": "x\u00e9", "rejected": "x\u00e8"})").parts[0].prompt, "x");
}

TEST_F(RowShapeTest, PreferencePairsOfMessagesGivenOrFoundInWhatTheyShare) {
  const Json user = json(R"({"role": "user", "content": "u"})");
  const auto answer = [](const char* text) {
    return Json{{"role", "assistant"}, {"content", text}};
  };
  const auto expect_pair = [&](const Json& row) {
    const Sample sample = read(dump_json(row));
    ASSERT_THAT(sample.parts, SizeIs(2));
    Json context = user;
    context["train"] = false;
    EXPECT_EQ(sample.parts[0].conversation["messages"], Json::array({context, answer("c")}));
    EXPECT_EQ(sample.parts[1].conversation["messages"], Json::array({context, answer("r")}));
  };
  expect_pair({{"prompt", Json::array({user})},
               {"chosen", Json::array({answer("c")})},
               {"rejected", Json::array({answer("r")})}});
  expect_pair({{"chosen", Json::array({user, answer("c")})},
               {"rejected", Json::array({user, answer("r")})}});
  // UltraFeedback: the prompt again, as a string.
  expect_pair({{"prompt", "u"},
               {"chosen", Json::array({user, answer("c")})},
               {"rejected", Json::array({user, answer("r")})}});
  // LLaMA-Factory, ShareGPT and Alpaca.
  expect_pair({{"conversations", json(R"([{"from": "human", "value": "u"}])")},
               {"chosen", json(R"({"from": "gpt", "value": "c"})")},
               {"rejected", json(R"({"from": "gpt", "value": "r"})")}});
  expect_pair({{"instruction", "u"}, {"input", ""}, {"chosen", "c"}, {"rejected", "r"}});
}

TEST_F(RowShapeTest, OnlyTheJudgedAnswerIsTrained) {
  const Sample sample = read(
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},)"
      R"( {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}], "label": false})");
  EXPECT_EQ(sample.desirable, false);
  const Json& messages = sample.parts.at(0).conversation["messages"];
  EXPECT_EQ(messages[1]["train"], false);
  EXPECT_FALSE(messages[3].contains("train"));
  EXPECT_EQ(read(R"({"prompt": "p", "completion": "c", "label": "1"})").desirable, true);
}

TEST_F(RowShapeTest, BadRowsAreNamedWithTheField) {
  EXPECT_THAT(refusal(R"({"messages": [{"role": "narrator", "content": "x"}]})"),
              HasSubstr("a.jsonl:1: messages[0]: unknown role \"narrator\"; expected system, user, "
                        "assistant or tool, or a word that the dataset's tags give"));
  EXPECT_THAT(refusal(R"({"messages": [{"content": "x"}]})"), HasSubstr("messages[0]"));
  EXPECT_THAT(refusal(R"({"messages": [3]})"), HasSubstr("messages[0]: must be an object"));
  EXPECT_THAT(refusal(R"({"messages": {"role": "user"}})"),
              HasSubstr("\"messages\" must be a list"));
  EXPECT_THAT(refusal(R"({"messages": "[1"})"), HasSubstr("a.jsonl:1: \"messages\""));
  EXPECT_THAT(refusal(R"({"messages": []})"), HasSubstr("\"messages\" is an empty list"));
  EXPECT_THAT(refusal(R"({"conversations": [{"from": "function_call", "value": "{}"}]})"),
              HasSubstr("conversations[0]: a function call must be an object with \"name\""));
  EXPECT_THAT(refusal(R"({"instruction": 3, "output": "x"})"), HasSubstr("instruction"));
  EXPECT_THAT(refusal(R"({"instruction": "a", "output": "x", "history": [["q"]]})"),
              HasSubstr("\"history\" must be a list of pairs"));
  EXPECT_THAT(refusal(R"({"prompt": "a", "completion": []})"),
              HasSubstr("must be two strings or two lists of messages"));
  EXPECT_THAT(refusal(R"({"prompt": "a", "chosen": "b", "rejected": "b"})"),
              HasSubstr("\"chosen\" and \"rejected\" are the same"));
  EXPECT_THAT(refusal(R"({"chosen": [{"role": "user", "content": "a"}],)"
                      R"( "rejected": [{"role": "user", "content": "a"}]})"),
              HasSubstr("do not differ in an answer"));
  EXPECT_THAT(refusal(R"({"chosen": 3, "rejected": "b"})"),
              HasSubstr("chosen: must be a string, a message or a list"));
}

TEST_F(RowShapeTest, EqualContentHasOneCanonicalForm) {
  const auto canonical = [&](std::string_view text) { return read(text).canonical(); };
  EXPECT_EQ(canonical(R"({"id": 1, "conversations": [{"from": "human", "value": "a"}]})"),
            canonical(R"({"messages": [{"content": "a", "role": "user"}], "id": 2})"));
  EXPECT_NE(canonical(R"({"prompt": "ab", "completion": "c"})"),
            canonical(R"({"prompt": "a", "completion": "bc"})"));
  EXPECT_NE(canonical(R"({"prompt": "a", "completion": "b", "label": true})"),
            canonical(R"({"prompt": "a", "completion": "b", "label": false})"));
}

}  // namespace
}  // namespace weft::data
