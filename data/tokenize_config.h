#pragma once

#include <string>
#include <vector>

#include "base/schema.h"
#include "data/tokenize.h"

namespace weft::data {

/// How rows become documents, in the words of a config file: what `weft tokenize` and a run that
/// tokenises its own data have in common.
struct TokenizeSettings {
  std::string overlong = "drop";
  bool last_turn_only = false;
  std::string end_token;
  bool deduplicate = false;

  /// Sets the members of `options` that these settings speak of. A config Error for words that
  /// cannot be.
  void apply(TokenizeOptions& options) const;
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
