#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/file_system.h"
#include "base/json.h"

namespace weft::cli {

/// What a foreign exception says, without the stack trace that LibTorch appends.
[[nodiscard]] std::string first_line(const std::exception& error);
/// Out of memory where the text says so, else a defect of ours.
[[nodiscard]] ErrorKind kind_of(const std::exception& error);

/// Calls body(row, where) for each line of standard input, parsed strictly as one JSON object;
/// `where` is "standard input:3". Empty lines are passed over.
void for_each_json_line(const std::function<void(Json row, const std::string& where)>& body);

/// Writes one JSON object as a line to standard output; a data Error when the reader has gone or
/// the disk is full.
void print_json_line(const Json& json);
/// Flushes standard output, with the same Error.
void flush_output();

}  // namespace weft::cli
