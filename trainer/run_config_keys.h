#pragma once

#include "base/schema.h"
#include "trainer/run_config.h"

namespace weft::trainer {

/// Binds every key to its variable in `config`, which must outlive the schema.
[[nodiscard]] Schema run_config_schema(RunConfig& config);

/// Rewrites what other tools spell as something other than another name of one key:
/// lr_scheduler_kwargs, bf16, lora_target_linear, optim. Adds a note for each; a problem goes to
/// `problems` as "NAME:LINE: KEY: …".
void translate_foreign_keys(YamlNode& map, std::string_view name, std::vector<std::string>& notes,
                            std::vector<std::string>& problems);

/// Appends to `problems` settings that contradict each other, and to
/// `notes` settings that have no effect.
void check_run_config(const RunConfig& config, std::vector<std::string>& problems,
                      std::vector<std::string>& notes);

}  // namespace weft::trainer
