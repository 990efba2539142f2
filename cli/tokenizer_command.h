#pragma once

namespace CLI {
class App;
}

namespace weft::cli {

/// Adds `weft tokenizer encode|decode|chat|train` to the program. The first three read one JSON
/// object a line from standard input and write one a line to standard output, in the same order;
/// errors are weft::Errors that name the line.
void add_tokenizer_command(CLI::App& app);

}  // namespace weft::cli
