#pragma once

#include <string>

#include "data/reader.h"
#include "data/row_shape.h"
#include "data/tokenize.h"

namespace weft::data {

/// How the rows of a dataset become documents.
struct RowFormat {
  enum class Kind {
    kText,   ///< a plain text file
    kShape,  ///< JSON rows of `shape`
    kIds,    ///< JSON rows with `ids` and `labels`
  };
  Kind kind = Kind::kText;
  const RowShape* shape = nullptr;  ///< of kShape
  /// The columns that the format was guessed from, as one line; "" when the config said it.
  std::string guessed_from = {};

  [[nodiscard]] bool same_as(const RowFormat& other) const {
    return kind == other.kind && shape == other.shape;
  }
  /// "text", "ids" or the shape's name.
  [[nodiscard]] std::string_view name() const;
  /// Of a format that was guessed: "a.jsonl: read as chat (its rows have messages, id): …".
  [[nodiscard]] std::string description(std::string_view dataset) const;
};

/// Checks the keys of a dataset that speak of rows, alone and together. Config Errors.
void check_row_keys(const TokenizeInput& input);

/// The field map of a dataset, with its short forms (text_field, prompt_field, response_field)
/// written out.
[[nodiscard]] RowFields row_fields(const TokenizeInput& input);

/// How the rows of a file are written: by its name, and by the format where the name says nothing.
[[nodiscard]] FileSyntax input_syntax(const fs::path& path, const TokenizeInput& input);

/// What the config says of the rows of a file, else what its first row shows. Data Errors for a
/// first row that is not a JSON object or that fits no shape.
[[nodiscard]] RowFormat find_row_format(FileSystem& files, const fs::path& path,
                                        const TokenizeInput& input, const RowOptions& options);

}  // namespace weft::data
