#pragma once

#include <string>
#include <string_view>

namespace weft {

/// The one line at the bottom of the terminal that is redrawn in place. Log lines are printed above
/// it. Thread-safe.

/// Draws `text` in place of the line that is there; "" erases it. Call only when standard error is
/// a terminal.
void show_live_line(std::string_view text);

/// Prints `text` (whole lines, with their newlines) to standard error above the live line.
void print_above_live_line(std::string_view text);

/// Columns of the terminal on standard error; 0 when it is not a terminal.
[[nodiscard]] int terminal_columns();

}  // namespace weft
