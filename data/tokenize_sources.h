#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/json.h"
#include "data/reader.h"
#include "data/row_selection.h"
#include "data/tokenize.h"
#include "data/tokenize_guess.h"

namespace weft::data {

/// A TokenizeInput with its files found and looked at.
struct TokenizeSource {
  TokenizeInput input;
  std::vector<fs::path> files;
  RowFormat format;
  RowOptions rows;  ///< of all files, but for the syntax
  RowSelection selection;
  std::uint64_t bytes = 0;  ///< of the files, as they lie on the disk
};

/// Finds the files of each input and decides their format. Config Errors for options that
/// contradict each other, data Errors for paths that are missing or empty and for a first row that
/// fits no format.
[[nodiscard]] std::vector<TokenizeSource> resolve_inputs(FileSystem& files,
                                                         std::span<const TokenizeInput> inputs,
                                                         const TokenizeOptions& options);

/// The rows of one of the source's files.
[[nodiscard]] std::unique_ptr<RowReader> open_source_rows(FileSystem& files,
                                                          const TokenizeSource& source,
                                                          const fs::path& path);

/// Whether a row counts where a number of rows is asked for: one with nothing on it does not.
[[nodiscard]] bool is_numbered(const Row& row);

/// Says of each row of a source, in order from the first row of the first file, whether it is to be
/// read. Its state depends on the rows that it saw and on nothing else.
class RowPicker {
 public:
  /// `source` must outlive it.
  explicit RowPicker(const TokenizeSource& source) : source_(source) {}

  [[nodiscard]] bool take(const Row& row);
  /// Whether no later row will be taken.
  [[nodiscard]] bool done() const { return source_.selection.ends_before(number_); }

 private:
  const TokenizeSource& source_;
  std::int64_t number_ = 0;  ///< of the next row that counts
};

/// Everything that decides what the shards hold, file contents as SHA-256: equal recipes give equal
/// shards.
[[nodiscard]] Json tokenize_recipe(FileSystem& files, std::span<const TokenizeSource> sources,
                                   const Tokenizer& tokenizer, const TokenizeOptions& options);

/// The SHA-256 of a recipe.
[[nodiscard]] std::string recipe_fingerprint(const Json& recipe);

/// One line that says where two recipes differ first: "max_length was 512 and is 1024".
[[nodiscard]] std::string recipe_difference(const Json& before, const Json& now);

}  // namespace weft::data
