#pragma once

#include <span>
#include <string>
#include <string_view>

#include "data/row_columns.h"
#include "data/sample.h"

namespace weft::data {

/// A way in which people lay out rows. One file of functions each: shape_*.cpp.
struct RowShape {
  std::string_view name;     ///< the `format` of a dataset that asks for it
  std::string_view columns;  ///< what it reads, for messages: "instruction, output"
  std::string_view meaning;  ///< what becomes of it, for the printed guess
  /// Whether a row has the columns of this shape.
  bool (*matches)(const RowView& row);
  /// Reads a row; data Errors begin with its name.
  Sample (*read)(const RowView& row);
};

/// All shapes of JSON rows but ids and labels, in the order in which a row is held against them:
/// preference, kto, chat, prompt_completion, alpaca, text.
[[nodiscard]] std::span<const RowShape> row_shapes();

/// The shape of that name; nullptr when there is none.
[[nodiscard]] const RowShape* find_shape(std::string_view name);

/// The first shape that the row matches; nullptr when it matches none.
[[nodiscard]] const RowShape* guess_shape(const RowView& row);

}  // namespace weft::data
