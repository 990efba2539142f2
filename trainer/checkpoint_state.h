#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "trainer/early_stopping.h"

namespace weft::trainer {

/// The version of checkpoints that this program writes, and the newest that it reads.
inline constexpr std::int64_t kCheckpointVersion = 1;

/// Everything of a run that is not a tensor: trainer_state.json of a checkpoint.
struct TrainerState {
  std::int64_t step = 0;          ///< finished optimizer steps
  std::int64_t max_steps = 0;     ///< that the run was to do when it was saved
  double epoch = 0;               ///< for people: epochs finished, with the part of the present one
  std::int64_t loader_epoch = 0;  ///< position of the loader: the next micro-batch
  std::int64_t loader_batch = 0;
  std::int64_t tokens = 0;
  std::int64_t trained_tokens = 0;
  double model_flops = 0;
  std::int64_t skipped_updates = 0;
  std::int64_t skipped_in_a_row = 0;
  /// Of the steps since the last logged one: the sum of their losses, and over how many tokens.
  double unlogged_loss_sum = 0;
  std::int64_t unlogged_trained_tokens = 0;
  BestMetric best;
  /// Further integers by name, such as positions of random streams.
  std::map<std::string, std::int64_t> counters;
  /// What must be the same for the run to go on: config values (RunConfig's identity), fingerprints
  /// of base, tokenizer and data.
  std::map<std::string, std::string> identity;
  /// Settings that may change between starts; a change is noted.
  std::map<std::string, std::string> settings;
  /// MetricsLog::history.
  std::vector<Json> log_history;
};

/// As a file: Hugging Face's trainer_state.json for the tools that read it, with weft's own part
/// under "weft". Equal states give equal text.
[[nodiscard]] std::string trainer_state_text(const TrainerState& state);

/// Back from text; a data Error that starts with `name` and names the key.
[[nodiscard]] TrainerState parse_trainer_state(std::string_view text, std::string_view name);

/// Refuses to go on with a checkpoint of another run: a config Error lists each identity value that
/// differs, old and new. Differing settings are logged, one line each. `name` is the checkpoint.
void check_same_run(const TrainerState& saved, const std::map<std::string, std::string>& identity,
                    const std::map<std::string, std::string>& settings, std::string_view name);

}  // namespace weft::trainer
