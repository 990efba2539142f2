#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/schema.h"

/// Keys of a run's config whose values are of a kind of their own. What they are bound to must
/// outlive the schema that they are added to.
namespace weft::trainer {

/// learning_rate: "auto" (not set), or a number as `add_optional_number` reads it.
[[nodiscard]] Schema::Key learning_rate_key(std::optional<double>* value);

/// resume_from_checkpoint: auto, none or a path; true and false are auto and none.
[[nodiscard]] Schema::Key resume_key(std::string* value);

/// lora_target: all, or a list of projections, kept in the order of lora_target_names().
[[nodiscard]] Schema::Key lora_target_key(std::vector<std::string>* value);

}  // namespace weft::trainer
