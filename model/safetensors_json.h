#pragma once

#include <string>
#include <string_view>

#include "model/safetensors_header.h"

namespace weft::model {

/// What is wrong with a tensor name ("holds a control character"), or "".
[[nodiscard]] std::string tensor_name_problem(std::string_view name);

/// Reads the JSON of a header into its parts and checks its form: member names, types, known
/// dtypes, limits, duplicate names. The memory used is proportional to the number of tensors,
/// whatever the text. Offsets are as written.
[[nodiscard]] SafetensorsHeader parse_header_json(std::string_view json, std::string_view file);

}  // namespace weft::model
