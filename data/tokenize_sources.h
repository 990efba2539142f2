#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/json.h"
#include "data/reader.h"
#include "data/tokenize.h"

namespace weft::data {

/// What one row of a file holds.
enum class RowFormat {
  kText,      ///< plain text
  kTextRow,   ///< JSON with a member of text
  kChat,      ///< JSON with `messages`
  kExchange,  ///< JSON with a question and an answer under names from the config
  kIds,       ///< JSON with `ids` and `labels`
};

/// A TokenizeInput with its files found and looked at.
struct TokenizeSource {
  TokenizeInput input;
  std::vector<fs::path> files;
  RowFormat format = RowFormat::kText;
  RowOptions rows;
  std::uint64_t bytes = 0;
};

/// Finds the files of each input and decides their format. Config Errors for options that
/// contradict each other, data Errors for paths that are missing or empty and for a first row that
/// fits no format.
[[nodiscard]] std::vector<TokenizeSource> resolve_inputs(FileSystem& files,
                                                         std::span<const TokenizeInput> inputs,
                                                         const TokenizeOptions& options);

/// Everything that decides what the shards hold, file contents as SHA-256: equal recipes give equal
/// shards.
[[nodiscard]] Json tokenize_recipe(FileSystem& files, std::span<const TokenizeSource> sources,
                                   const Tokenizer& tokenizer, const TokenizeOptions& options);

/// The SHA-256 of a recipe.
[[nodiscard]] std::string recipe_fingerprint(const Json& recipe);

/// One line that says where two recipes differ first: "max_length was 512 and is 1024".
[[nodiscard]] std::string recipe_difference(const Json& before, const Json& now);

}  // namespace weft::data
