#pragma once

#include <string>
#include <vector>

#include "base/schema.h"
#include "data/tokenize.h"

namespace weft::data {

/// A config key whose value is a list of datasets: each a path, or a map with the members of
/// TokenizeInput. `value` must outlive the schema that the key is added to.
[[nodiscard]] Schema::Key datasets_key(std::string name, std::vector<TokenizeInput>* value,
                                       std::string description);

/// The documentation of a dataset's own keys, as Schema::to_markdown prints it.
[[nodiscard]] std::string dataset_keys_markdown();

}  // namespace weft::data
