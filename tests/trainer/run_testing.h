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
/// Expects a run of `train_curve` with these settings, resumed in its middle, to leave the same
/// adapter, bit for bit, as the one that was never stopped.
void expect_resumed_equals_whole(std::vector<std::string> settings);

}  // namespace weft::test
