#pragma once

#include <string>
#include <vector>

#include "base/schema.h"
#include "data/report.h"
#include "data/tokenize.h"

namespace weft::data {

/// How rows become documents, in the words of a config file: what `weft tokenize` and a run that
/// tokenises its own data have in common.
struct TokenizeSettings {
  std::string overlong = "drop";
  std::string end_token;
  bool deduplicate = false;
  // Of chats.
  std::string chat_template = "auto";
  std::string train_on = "assistant";
  bool last_turn_only = false;  ///< train_on: last in older words
  bool train_end_of_turn = true;
  std::string empty_think = "auto";
  std::string multi_turn_reasoning = "auto";
  bool enable_thinking = true;
  std::string special_tokens = "plain";

  LossLimits limits;

  /// Sets the members of `options` that these settings speak of; `auto` as chat_template looks into
  /// `model_folder`. A config Error for words and combinations that cannot be.
  void apply(TokenizeOptions& options, FileSystem& files, const fs::path& model_folder) const;
  /// The part of it that is about chats.
  [[nodiscard]] ChatOptions chat_options(FileSystem& files, const fs::path& model_folder) const;
};

/// Adds the keys of `settings`, which must outlive the schema.
void add_tokenize_keys(Schema& schema, TokenizeSettings* settings);

/// A config key whose value is a list of datasets: each a path, or a map with the members of
/// TokenizeInput. `value` must outlive the schema that the key is added to.
[[nodiscard]] Schema::Key datasets_key(std::string name, std::vector<TokenizeInput>* value,
                                       std::string description);

/// The documentation of a dataset's own keys, as Schema::to_markdown prints it.
[[nodiscard]] std::string dataset_keys_markdown();

}  // namespace weft::data
