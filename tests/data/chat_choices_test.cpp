#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "data/chat.h"
#include "tests/data/tokenizer_test_support.h"
#include "tests/support/caught.h"

namespace weft::data {

namespace {

using test::caught;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kTwoThoughts = R"({"messages": [
    {"role": "user", "content": "Q"},
    {"role": "assistant", "content": "A", "reasoning_content": "a"},
    {"role": "user", "content": "R"},
    {"role": "assistant", "content": "B", "reasoning_content": "b"}]})";

constexpr std::string_view kPlain = R"({"messages": [
    {"role": "system", "content": "S"}, {"role": "user", "content": "Q"},
    {"role": "assistant", "content": "A"}, {"role": "user", "content": "R"},
    {"role": "assistant", "content": "B"}]})";

/// The text with the targets in brackets: what is meant to be read beside the golden texts.
std::string marked(const RenderedChat& chat) {
  std::string text;
  bool inside = false;
  for (std::size_t i = 0; i < chat.ids.size(); ++i) {
    if ((chat.mask[i] == 1) != inside) text += inside ? "]" : "[";
    inside = chat.mask[i] == 1;
    text += tiny_tokenizer().token_bytes(chat.ids[i]);
  }
  return text + (inside ? "]" : "");
}

std::vector<std::string> samples(std::string_view json, const ChatOptions& options = {}) {
  std::vector<std::string> result;
  for (const RenderedChat& chat :
       render_chat_samples(tiny_tokenizer(), parse_json(json, "row"), options, "row")) {
    result.push_back(marked(chat));
  }
  return result;
}

TEST(ChatChoices, TrainOnAssistantLastOrAll) {
  const std::string head = "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n";
  EXPECT_THAT(samples(kPlain),
              ElementsAre(head + "<|im_start|>assistant\n[A<|im_end|>]\n"
                                 "<|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n"
                                 "[<think>\n\n</think>\n\nB<|im_end|>]\n"));
  EXPECT_THAT(samples(kPlain, {.train_on = TrainOn::kLast}),
              ElementsAre(head + "<|im_start|>assistant\nA<|im_end|>\n"
                                 "<|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n"
                                 "[<think>\n\n</think>\n\nB<|im_end|>]\n"));
  EXPECT_THAT(samples(kPlain, {.train_on = TrainOn::kAll}),
              ElementsAre("<|im_start|>[system\nS<|im_end|>\n<|im_start|>user\nQ<|im_end|>\n"
                          "<|im_start|>assistant\nA<|im_end|>\n<|im_start|>user\nR<|im_end|>\n"
                          "<|im_start|>assistant\n<think>\n\n</think>\n\nB<|im_end|>\n]"));
}

TEST(ChatChoices, TheEndOfTheTurnCanBeLeftOut) {
  EXPECT_THAT(samples(kTwoThoughts, {.train_on = TrainOn::kLast, .train_end_of_turn = false}),
              ElementsAre("<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n"
                          "<|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n"
                          "[<think>\nb\n</think>\n\nB]<|im_end|>\n"));
}

TEST(ChatChoices, EmptyThinkBlocks) {
  const std::string begin = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n";
  const std::string chat =
      R"("messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]})";
  const auto sample = [&](std::string_view row, EmptyThink choice, bool thinking = true) {
    return samples(std::string(row) + chat, {.empty_think = choice, .enable_thinking = thinking})
        .at(0);
  };
  const std::string trained = begin + "[<think>\n\n</think>\n\nA<|im_end|>]\n";
  const std::string prompt = begin + "<think>\n\n</think>\n\n[A<|im_end|>]\n";
  EXPECT_EQ(sample("{", EmptyThink::kTrain), trained);
  EXPECT_EQ(sample("{", EmptyThink::kPrompt), prompt);
  EXPECT_EQ(sample("{", EmptyThink::kOmit), begin + "[A<|im_end|>]\n");
  EXPECT_EQ(sample("{", EmptyThink::kAuto), trained);
  EXPECT_EQ(sample("{", EmptyThink::kAuto, false), prompt);
  EXPECT_EQ(sample(R"({"enable_thinking": false, )", EmptyThink::kAuto), prompt);
  EXPECT_EQ(sample(R"({"enable_thinking": true, )", EmptyThink::kAuto, false), trained);
}

TEST(ChatChoices, ReasoningOfEarlierTurns) {
  const auto choose = [](MultiTurnReasoning choice) {
    return samples(kTwoThoughts, {.reasoning = choice});
  };
  const std::string first = "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n";
  const std::string second = "<|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n";
  const std::string answer = "[<think>\nb\n</think>\n\nB<|im_end|>]\n";
  const std::string thought = "[<think>\na\n</think>\n\nA<|im_end|>]\n";
  EXPECT_THAT(choose(MultiTurnReasoning::kTemplate),
              ElementsAre(first + "[A<|im_end|>]\n" + second + answer));
  EXPECT_THAT(choose(MultiTurnReasoning::kSplit),
              ElementsAre(first + thought, first + "A<|im_end|>\n" + second + answer));
  EXPECT_THAT(choose(MultiTurnReasoning::kKeep), ElementsAre(first + thought + second + answer));
  EXPECT_THAT(
      choose(MultiTurnReasoning::kStrip),
      ElementsAre(first + "[A<|im_end|>]\n" + second + "[<think>\n\n</think>\n\nB<|im_end|>]\n"));
  EXPECT_EQ(choose(MultiTurnReasoning::kAuto), choose(MultiTurnReasoning::kSplit));
}

TEST(ChatChoices, AutoSplitsOnlyWhereATargetWouldLoseItsReasoning) {
  EXPECT_EQ(samples(kPlain).size(), 1u);
  EXPECT_EQ(samples(kTwoThoughts, {.train_on = TrainOn::kLast}).size(), 1u);
  // Instruct-2507 has no reasoning to lose.
  EXPECT_EQ(samples(kTwoThoughts, {.format = ChatTemplate::kQwen3Instruct2507}).size(), 1u);
  // A tool loop keeps the reasoning after the question.
  EXPECT_EQ(samples(R"({"messages": [{"role": "user", "content": "Q"},
      {"role": "assistant", "content": "", "reasoning_content": "r",
       "tool_calls": [{"name": "f", "arguments": {}}]},
      {"role": "tool", "content": "T"}, {"role": "assistant", "content": "A"}]})")
                .size(),
            1u);
}

TEST(ChatChoices, SplitTurnsOfAToolLoopEachSeeWhatStoodBeforeThem) {
  EXPECT_THAT(
      samples(R"({"messages": [{"role": "user", "content": "Q"},
      {"role": "assistant", "content": "", "reasoning_content": "r",
       "tool_calls": [{"name": "f", "arguments": {}}]},
      {"role": "tool", "content": "T"}, {"role": "assistant", "content": "A"}]})",
              {.empty_think = EmptyThink::kPrompt, .reasoning = MultiTurnReasoning::kSplit}),
      ElementsAre("<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
                  "[<think>\nr\n</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": "
                  "{}}\n</tool_call><|im_end|>]\n",
                  "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n"
                  "<think>\nr\n</think>\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": "
                  "{}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\nT\n"
                  "</tool_response><|im_end|>\n<|im_start|>assistant\n"
                  "<think>\n\n</think>\n\n[A<|im_end|>]\n"));
}

TEST(ChatChoices, Thinking2507HasTheBlocksBeginInThePrompt) {
  const ChatOptions options{.format = ChatTemplate::kQwen3Thinking2507,
                            .train_on = TrainOn::kLast,
                            .reasoning = MultiTurnReasoning::kTemplate};
  EXPECT_THAT(samples(kTwoThoughts, options),
              ElementsAre("<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n"
                          "<|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n<think>\n"
                          "[b\n</think>\n\nB<|im_end|>]\n"));
}

TEST(ChatChoices, Instruct2507HasNoReasoning) {
  EXPECT_THAT(samples(kTwoThoughts, {.format = ChatTemplate::kQwen3Instruct2507}),
              ElementsAre("<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n[A<|im_end|>]\n"
                          "<|im_start|>user\nR<|im_end|>\n<|im_start|>assistant\n"
                          "[B<|im_end|>]\n"));
}

TEST(ChatChoices, MessagesSayWhetherTheyAreTrained) {
  const auto row = [](std::string_view first, std::string_view second, std::string_view question) {
    return fmt::format(R"({{"messages": [{{"role": "user", "content": "Q"{}}},
        {{"role": "assistant", "content": "A"{}}}, {{"role": "user", "content": "R"}},
        {{"role": "assistant", "content": "B"{}}}]}})",
                       question, first, second);
  };
  const ChatOptions omit{.empty_think = EmptyThink::kOmit};
  const ChatOptions last{.train_on = TrainOn::kLast, .empty_think = EmptyThink::kOmit};
  const auto text = [](std::string_view q, std::string_view a, std::string_view b) {
    return fmt::format(
        "<|im_start|>user\n{}\n<|im_start|>assistant\n{}\n<|im_start|>user\nR<|im_end|>\n"
        "<|im_start|>assistant\n{}\n",
        q, a, b);
  };
  const std::string q = "Q<|im_end|>";
  const std::string a = "A<|im_end|>";
  const std::string b = "B<|im_end|>";
  EXPECT_THAT(samples(row(R"(, "weight": 0)", R"(, "weight": 1)", ""), omit),
              ElementsAre(text(q, a, "[" + b + "]")));
  EXPECT_THAT(samples(row("", R"(, "train": false)", ""), omit),
              ElementsAre(text(q, "[" + a + "]", b)));
  EXPECT_THAT(samples(row(R"(, "train": true)", "", ""), last),
              ElementsAre(text(q, "[" + a + "]", "[" + b + "]")));
  EXPECT_THAT(samples(row(R"(, "weight": 1)", "", ""), last),
              ElementsAre(text(q, a, "[" + b + "]")));
  EXPECT_THAT(samples(row("", "", R"(, "train": true)"), last),
              ElementsAre(text("[" + q + "]", a, "[" + b + "]")));
}

TEST(ChatChoices, ToolResultsCanBeTrained) {
  EXPECT_THAT(samples(R"({"messages": [{"role": "user", "content": "Q"},
      {"role": "tool", "content": "T", "train": true}, {"role": "tool", "content": "U"}]})"),
              ElementsAre("<|im_start|>user\nQ<|im_end|>\n<|im_start|>user\n<tool_response>\n[T\n"
                          "</tool_response>]\n<tool_response>\nU\n</tool_response><|im_end|>\n"));
}

TEST(ChatChoices, BadMarksAreRefusedByField) {
  const auto refusal = [](std::string_view marks) {
    const Error error = caught([&] {
      samples(
          fmt::format(R"({{"messages": [{{"role": "assistant", "content": "A", {}}}]}})", marks));
    });
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return std::string(error.what());
  };
  EXPECT_THAT(refusal(R"("weight": 0.5)"),
              HasSubstr("row: messages[0]: \"weight\" is 0.5; expected 0 (not trained) or 1"));
  EXPECT_THAT(refusal(R"("weight": "1")"), HasSubstr("weight"));
  EXPECT_THAT(refusal(R"("train": 1)"), HasSubstr("train"));
  EXPECT_THAT(refusal(R"("train": true, "weight": 0)"), HasSubstr("contradict each other"));
}

TEST(ChatChoices, AnUnknownTemplateIsRefused) {
  const Error error = caught([] { samples(kPlain, {.format = ChatTemplate::kUnknown}); });
  EXPECT_EQ(error.kind(), ErrorKind::kConfig);
  EXPECT_THAT(error.what(), HasSubstr("chat template is none that weft has"));
}

/// The text without the empty blocks that begin an answer.
std::string without_empty_blocks(std::string text) {
  const std::string head = "<|im_start|>assistant\n";
  const std::string block = "<think>\n\n</think>\n\n";
  for (std::size_t at = 0; (at = text.find(head + block, at)) != text.npos; ++at) {
    text.erase(at + head.size(), block.size());
  }
  return text;
}

/// Whatever is chosen, the text is the template's, less empty blocks that are left out; and choices
/// about targets change no id.
TEST(ChatChoices, ChoicesAboutTargetsLeaveTheTextAlone) {
  for (const Json& row : read_rows("chat/qwen3_chats.jsonl")) {
    const RenderedChat usual = render_chat(tiny_tokenizer(), row["chat"], {}, "row");
    for (const TrainOn train_on : {TrainOn::kLast, TrainOn::kAssistant, TrainOn::kAll}) {
      for (const EmptyThink empty : {EmptyThink::kTrain, EmptyThink::kPrompt}) {
        const ChatOptions options{
            .train_on = train_on, .train_end_of_turn = false, .empty_think = empty};
        const RenderedChat chat = render_chat(tiny_tokenizer(), row["chat"], options, "row");
        ASSERT_EQ(chat.text, usual.text) << row["name"];
        ASSERT_EQ(chat.ids, usual.ids) << row["name"];
        ASSERT_EQ(chat.mask[0], 0);
      }
    }
    // Prompts keep their block, and a message may write what looks like an answer's.
    if (row["chat"].value("add_generation_prompt", false)) continue;
    if (dump_json(row["chat"]).find("<|im_start|>") != std::string::npos) continue;
    const RenderedChat omitted =
        render_chat(tiny_tokenizer(), row["chat"], {.empty_think = EmptyThink::kOmit}, "row");
    EXPECT_EQ(omitted.text, without_empty_blocks(usual.text)) << row["name"];
  }
}

/// A sample that was split off is the template's rendering of the conversation up to its turn.
TEST(ChatChoices, SplitSamplesAreWhatTheTemplateRendersThen) {
  for (const Json& row : read_rows("chat/qwen3_chats.jsonl")) {
    const auto chats = render_chat_samples(tiny_tokenizer(), row["chat"],
                                           {.reasoning = MultiTurnReasoning::kSplit}, "row");
    std::size_t next = 0;
    Json before = row["chat"];
    before.erase("add_generation_prompt");
    before["messages"] = Json::array();
    for (const Json& message : row["chat"]["messages"]) {
      before["messages"].push_back(message);
      if (message["role"] != "assistant") continue;
      ASSERT_LT(next, chats.size()) << row["name"];
      const RenderedChat alone =
          render_chat(tiny_tokenizer(), before, {.train_on = TrainOn::kLast}, "row");
      ASSERT_EQ(chats[next].text, alone.text) << row["name"];
      ASSERT_EQ(chats[next].mask, alone.mask) << row["name"];
      ++next;
    }
  }
}

}  // namespace

}  // namespace weft::data
