#include "data/chat_template.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/sha256.h"

namespace weft::data {

namespace {

constexpr std::array kNames{std::pair{ChatTemplate::kQwen3, "qwen3"},
                            std::pair{ChatTemplate::kQwen3Instruct2507, "qwen3-instruct-2507"},
                            std::pair{ChatTemplate::kQwen3Thinking2507, "qwen3-thinking-2507"},
                            std::pair{ChatTemplate::kUnknown, "unknown"}};

/// Published templates, without white space at their end. The hybrid has two texts, of April 2025
/// and later, that differ only for contents that are not strings.
constexpr std::array kPublished{
    std::pair{"87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5",
              ChatTemplate::kQwen3},
    std::pair{"a55ee1b1660128b7098723e0abcd92caa0788061051c62d51cbe87d9cf1974d8",
              ChatTemplate::kQwen3},
    std::pair{"64f85b198065d0fba2a81f37e10ed68161ce2c19a754c7100e67e0ca2ee9c326",
              ChatTemplate::kQwen3Instruct2507},
    std::pair{"3802169b2a02b81e6adb7ab4f64f91ff02db753c8c3a64a01c35192d3a61d8d7",
              ChatTemplate::kQwen3Thinking2507}};

/// What all of them write, as it stands in their source.
constexpr std::array<std::string_view, 6> kCommon{"<|im_start|>",
                                                  "<|im_end|>\\n",
                                                  "# Tools\\n\\nYou may call one or more functions",
                                                  R"(<tool_call>\n{"name": ")",
                                                  "\\n<tool_response>\\n",
                                                  "tool | tojson"};

/// What none of them has: rules of later models and of templates that were changed for training.
constexpr std::array<std::string_view, 7> kForeign{
    "preserve_thinking", "generation %}",     "<function=",    "reasoning_effort",
    "You are Qwen",      "You are a helpful", "default_system"};

/// The hybrid's and Thinking-2507's rule about reasoning.
constexpr std::array<std::string_view, 4> kReasoning{
    "last_query_index", R"(.rstrip('\n').split('<think>')[-1].lstrip('\n'))", "reasoning_content",
    R"(\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + content.lstrip('\n'))"};

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

bool has_all(std::string_view text, std::span<const std::string_view> parts) {
  return std::all_of(parts.begin(), parts.end(), [&](auto part) { return has(text, part); });
}

bool has_any(std::string_view text, std::span<const std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](auto part) { return has(text, part); });
}

/// For templates that were edited without a change of what they write: comments, spaces, quotes.
ChatTemplate recognise_by_parts(std::string_view jinja) {
  if (!has_all(jinja, kCommon) || has_any(jinja, kForeign)) return ChatTemplate::kUnknown;
  if (!has(jinja, "think")) return ChatTemplate::kQwen3Instruct2507;
  if (!has_all(jinja, kReasoning)) return ChatTemplate::kUnknown;
  const bool always = has(jinja, R"('<|im_start|>assistant\n<think>\n')");
  const bool optional =
      has(jinja, "enable_thinking is false") && has(jinja, R"('<think>\n\n</think>\n\n')");
  if (always == optional) return ChatTemplate::kUnknown;
  return always ? ChatTemplate::kQwen3Thinking2507 : ChatTemplate::kQwen3;
}

/// The member chat_template: a text, or a list of texts with names.
std::optional<std::string> template_of_config(const Json& config, const std::string& name) {
  const Json* member = json_find(config, "chat_template");
  if (member == nullptr) return std::nullopt;
  if (member->is_string()) return member->get<std::string>();
  if (!member->is_array()) {
    fail_data("{}: \"chat_template\" must be a string or a list of named templates", name);
  }
  for (const Json& entry : *member) {
    if (entry.is_object() && json_string(entry, "name", name) == "default") {
      return json_string(entry, "template", name);
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view chat_template_name(ChatTemplate format) {
  const auto* const found = std::find_if(kNames.begin(), kNames.end(),
                                         [&](const auto& pair) { return pair.first == format; });
  return found == kNames.end() ? "unknown" : found->second;
}

std::optional<ChatTemplate> chat_template_from_name(std::string_view name) {
  for (const auto& [format, word] : kNames) {
    if (name == word) return format;
  }
  return std::nullopt;
}

ChatTemplate recognise_chat_template(std::string_view jinja) {
  jinja = jinja.substr(0, jinja.find_last_not_of(" \t\r\n") + 1);
  const std::string hash = sha256_hex(jinja);
  for (const auto& [known, format] : kPublished) {
    if (hash == known) return format;
  }
  return recognise_by_parts(jinja);
}

std::optional<std::string> read_chat_template(FileSystem& files, const fs::path& model_folder) {
  if (const fs::path path = model_folder / "chat_template.jinja"; files.exists(path)) {
    return read_file(files, path);
  }
  const fs::path path = model_folder / "tokenizer_config.json";
  if (!files.exists(path)) return std::nullopt;
  return template_of_config(read_json(files, path), path.string());
}

ChatTemplate find_chat_template(FileSystem& files, const fs::path& model_folder) {
  const auto jinja = read_chat_template(files, model_folder);
  return jinja ? recognise_chat_template(*jinja) : ChatTemplate::kQwen3;
}

}  // namespace weft::data
