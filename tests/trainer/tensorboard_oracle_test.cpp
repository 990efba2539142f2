#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/temp_folder.h"
#include "trainer/metrics.h"

namespace weft::trainer {
namespace {

StepMetrics step_metrics(std::int64_t step) {
  StepMetrics m;
  m.step = step;
  m.loss = 4.0 / static_cast<double>(step);
  m.learning_rate = 5e-4;
  m.grad_norm = 0.5;
  m.tokens = 100 * step;
  m.trained_tokens = 40 * step;
  return m;
}

TEST(TensorBoardOracle, ReadsWhatAResumedRunLogged) {
  const std::string python = WEFT_DEPS_FOLDER "/oracle/bin/python";
  if (!fs::exists(python)) {
    GTEST_SKIP() << "no " << python << "; scripts/oracle.sh makes it";
  }
  const test::TempFolder temp;
  FileSystem& files = posix_file_system();
  std::vector<Json> history;
  {
    MetricsLog log(files, temp.path(), 0, {}, true);
    for (std::int64_t step = 1; step <= 5; ++step) log.add(step_metrics(step));
    history.assign(log.history().begin(), log.history().begin() + 3);
  }
  MetricsLog log(files, temp.path(), 3, history, true);
  log.add(step_metrics(4));
  log.add(EvalMetrics{.step = 4, .epoch = 0.5, .values = {{"eval_loss", 1.25}}});
  const std::string command = fmt::format(
      "'{}' '{}/tests/oracle/tensorboard_read.py' --events '{}' --metrics '{}'", python,
      WEFT_SOURCE_DIR, (temp / "tensorboard").string(), (temp / "metrics.jsonl").string());
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace weft::trainer
