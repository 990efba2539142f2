#pragma once

#include <string>
#include <vector>

#include "source_files.h"

namespace weft::style {

/// Each rule returns its violations, one line of "path:line: what is wrong" each; empty when it
/// holds.

/// Includes point down the floors of docs/architecture.md only.
std::vector<std::string> check_layers(const SourceFile& file);

/// LibTorch is included per operator, and in headers only where tensors are the subject.
std::vector<std::string> check_torch_includes(const SourceFile& file);

/// Headers begin with #pragma once, and no file has notes of unfinished work.
std::vector<std::string> check_text(const SourceFile& file);

/// A file no longer than a reader will follow.
std::vector<std::string> check_length(const SourceFile& file);

}  // namespace weft::style
