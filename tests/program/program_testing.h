#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/file_system.h"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace weft::test {

/// tests/fixtures.
[[nodiscard]] fs::path fixtures();
/// A tiny model of tests/fixtures/model. It has no tokenizer: it takes rows of ids.
[[nodiscard]] fs::path tiny_model();
/// An adapter for tiny_model().
[[nodiscard]] fs::path tiny_adapter();

/// The command line of the weft program under test.
[[nodiscard]] std::vector<std::string> weft_command(std::vector<std::string> arguments);
/// Runs the weft program.
[[nodiscard]] ProcessResult weft(std::vector<std::string> arguments, const std::string& input = "");

/// Runs the weft program under strace, which follows `call` (strace's -e trace=) and, where
/// `inject` is not empty, does that to it (-e inject=CALL:). What it saw is in the file `trace`.
[[nodiscard]] ProcessResult weft_traced(const fs::path& trace, const std::string& call,
                                        const std::string& inject,
                                        const std::vector<std::string>& arguments);

/// Arguments of a short run of `weft train` into `out`: two steps on the training fixture, saved at
/// each. `more` are overrides, which win.
[[nodiscard]] std::vector<std::string> train_arguments(const fs::path& out,
                                                       const std::vector<std::string>& more = {});

/// A writable copy of a folder.
void copy_folder(const fs::path& from, const fs::path& to);
/// The whole content of a file.
[[nodiscard]] std::string content(const fs::path& path);
/// Replaces a file's content.
void put(const fs::path& path, const std::string& text);
/// Names under `folder`, at any depth, that are left over from something half written.
[[nodiscard]] std::vector<std::string> leftovers(const fs::path& folder);

/// Expects one line on standard error, after any notes, and the exit code.
void expect_refused(const ProcessResult& result, int exit_code,
                    const std::vector<std::string>& parts);

}  // namespace weft::test
