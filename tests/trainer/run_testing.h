#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "trainer/trainer.h"

namespace weft::test {

/// The run of tests/fixtures/lora/CURVE into `out`; `overrides` win over its file.
[[nodiscard]] trainer::RunConfig fixture_config(const std::string& curve, const fs::path& out,
                                                std::vector<std::string> overrides = {});
/// The lines of OUT/metrics.jsonl.
[[nodiscard]] std::vector<Json> metrics_of(const fs::path& out);
/// Losses and gradient norms of all logged steps, exact.
[[nodiscard]] std::vector<std::pair<double, double>> curve_of(const fs::path& out);
/// Runs it to its end.
trainer::RunResult run(const trainer::RunConfig& config);

}  // namespace weft::test
