#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/file_system.h"

namespace weft::data {

/// The chat formats of the Qwen3 family. They share ChatML, tools and tool calls, and differ in
/// what they do about reasoning.
enum class ChatTemplate {
  kQwen3,              ///< hybrid: reasons unless the prompt says otherwise
  kQwen3Instruct2507,  ///< never reasons; knows no think blocks
  kQwen3Thinking2507,  ///< always reasons: every prompt ends in "<think>\n"
  kUnknown             ///< a template that weft does not have; rendering with it is refused
};

/// "qwen3", "qwen3-instruct-2507", "qwen3-thinking-2507", "unknown".
[[nodiscard]] std::string_view chat_template_name(ChatTemplate format);

/// The format of that name; nothing for another word.
[[nodiscard]] std::optional<ChatTemplate> chat_template_from_name(std::string_view name);

/// Which format a template in Jinja writes: by its SHA-256 where it is one that Qwen published,
/// else by what stands in it. White space at its end does not count. kUnknown when it is neither,
/// such as a template with other rules about reasoning, or of another family.
[[nodiscard]] ChatTemplate recognise_chat_template(std::string_view jinja);

/// The template of a model folder: chat_template.jinja, else the member chat_template of
/// tokenizer_config.json (of several named ones, "default"). Nothing when it has none. A data Error
/// when a file cannot be read.
[[nodiscard]] std::optional<std::string> read_chat_template(FileSystem& files,
                                                            const fs::path& model_folder);

/// The format that the folder's template writes; that of Qwen3 when it has none.
[[nodiscard]] ChatTemplate find_chat_template(FileSystem& files, const fs::path& model_folder);

}  // namespace weft::data
