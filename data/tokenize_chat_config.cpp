#include "data/tokenize_chat_config.h"

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace weft::data {

namespace {

template <typename T>
using Words = std::vector<std::pair<std::string, T>>;

const Words<TrainOn>& train_on_words() {
  static const Words<TrainOn> kWords{
      {"assistant", TrainOn::kAssistant}, {"last", TrainOn::kLast}, {"all", TrainOn::kAll}};
  return kWords;
}

const Words<EmptyThink>& empty_think_words() {
  static const Words<EmptyThink> kWords{{"auto", EmptyThink::kAuto},
                                        {"train", EmptyThink::kTrain},
                                        {"prompt", EmptyThink::kPrompt},
                                        {"omit", EmptyThink::kOmit}};
  return kWords;
}

const Words<MultiTurnReasoning>& reasoning_words() {
  static const Words<MultiTurnReasoning> kWords{{"auto", MultiTurnReasoning::kAuto},
                                                {"template", MultiTurnReasoning::kTemplate},
                                                {"split", MultiTurnReasoning::kSplit},
                                                {"keep", MultiTurnReasoning::kKeep},
                                                {"strip", MultiTurnReasoning::kStrip}};
  return kWords;
}

const Words<SpecialTokens>& special_words() {
  static const Words<SpecialTokens> kWords{{"plain", SpecialTokens::kPlain},
                                           {"parse", SpecialTokens::kParse}};
  return kWords;
}

template <typename T>
std::vector<std::string> names(const Words<T>& words) {
  std::vector<std::string> result;
  for (const auto& [name, value] : words) result.push_back(name);
  return result;
}

template <typename T>
T meaning(const Words<T>& words, const std::string& word, const char* key) {
  for (const auto& [name, value] : words) {
    if (name == word) return value;
  }
  fail_config("{} is '{}', expected {}", key, printable(word), join(names(words), ", "));
}

template <typename T>
const std::string& word_of(const Words<T>& words, T wanted) {
  for (const auto& [name, value] : words) {
    if (value == wanted) return name;
  }
  fail_internal("no config word for the value {}", static_cast<int>(wanted));
}

ChatTemplate resolve_template(const std::string& word, FileSystem& files,
                              const fs::path& model_folder) {
  if (word == "auto") return find_chat_template(files, model_folder);
  const auto format = chat_template_from_name(word);
  if (!format || *format == ChatTemplate::kUnknown) {
    fail_config(
        "chat_template is '{}', expected auto, qwen3, qwen3-instruct-2507 or qwen3-thinking-2507",
        printable(word));
  }
  return *format;
}

}  // namespace

ChatOptions TokenizeSettings::chat_options(FileSystem& files, const fs::path& model_folder) const {
  ChatOptions options;
  options.format = resolve_template(chat_template, files, model_folder);
  options.content = meaning(special_words(), special_tokens, "special_tokens");
  options.train_on = meaning(train_on_words(), train_on, "train_on");
  if (last_turn_only) {
    if (options.train_on == TrainOn::kAll) {
      fail_config("last_turn_only and train_on: all contradict each other; set train_on alone");
    }
    options.train_on = TrainOn::kLast;
  }
  options.train_end_of_turn = train_end_of_turn;
  options.empty_think = meaning(empty_think_words(), empty_think, "empty_think");
  options.reasoning = meaning(reasoning_words(), multi_turn_reasoning, "multi_turn_reasoning");
  options.enable_thinking = enable_thinking;
  return options;
}

Json chat_recipe(const ChatOptions& options) {
  return {{"chat_template", chat_template_name(options.format)},
          {"train_on", word_of(train_on_words(), options.train_on)},
          {"train_end_of_turn", options.train_end_of_turn},
          {"empty_think", word_of(empty_think_words(), options.empty_think)},
          {"multi_turn_reasoning", word_of(reasoning_words(), options.reasoning)},
          {"enable_thinking", options.enable_thinking},
          {"special_tokens", word_of(special_words(), options.content)}};
}

void add_chat_keys(Schema& schema, TokenizeSettings* settings) {
  schema.add_choice("chat_template", &settings->chat_template,
                    {"auto", "qwen3", "qwen3-instruct-2507", "qwen3-thinking-2507"},
                    "Format of chats. auto: that of the model's own template; refused where weft "
                    "does not have it. docs/chat.md says more about this and the next keys.");
  schema.add_choice("train_on", &settings->train_on, names(train_on_words()),
                    "Targets in chats: every assistant turn, the last one, or all tokens of all "
                    "roles. A message's `train` and `weight` win over it.");
  schema.add_bool("last_turn_only", &settings->last_turn_only, "true: train_on: last.");
  schema.add_bool("train_end_of_turn", &settings->train_end_of_turn,
                  "Whether <|im_end|> after a target turn is a target. Without it the model does "
                  "not learn to stop.");
  schema.add_choice("empty_think", &settings->empty_think, names(empty_think_words()),
                    "The template's empty think block before an answer without reasoning: a "
                    "target, part of the prompt, or left out. auto: train where enable_thinking is "
                    "true, else prompt.");
  schema.add_choice(
      "multi_turn_reasoning", &settings->multi_turn_reasoning, names(reasoning_words()),
      "Reasoning in turns before the last question, which the template drops. split: "
      "one sample for each target turn, as the template shows it when it is the last. "
      "keep: kept in all. strip: removed from all. template: dropped, and the turns "
      "trained without. auto: split where a target would lose reasoning, else template.");
  schema.add_bool("enable_thinking", &settings->enable_thinking,
                  "For chats whose row does not say: whether the prompt lets the model reason.");
  schema.add_choice("special_tokens", &settings->special_tokens, names(special_words()),
                    "Names of control tokens in messages: plain text, or parse them, which lets "
                    "data write turns.");
}

}  // namespace weft::data
