#include "trainer/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "tests/support/caught.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/temp_folder.h"

namespace weft::trainer {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class MetricsTest : public ::testing::Test {
 protected:
  FileSystem& files_ = posix_file_system();
  test::TempFolder temp_;
  fs::path path_ = temp_ / "metrics.jsonl";

  std::vector<Json> lines() {
    std::vector<Json> result;
    const std::string text = read_file(files_, path_);
    for (const std::string_view line : split(text, '\n')) {
      if (!line.empty()) result.push_back(parse_json(line, "line"));
    }
    return result;
  }
};

StepMetrics step_metrics(std::int64_t step) {
  StepMetrics m;
  m.step = step;
  m.epoch = 0.25 * static_cast<double>(step);
  m.loss = 1.0 / 3.0;
  m.learning_rate = 5e-4;
  m.grad_norm = 0.7;
  m.tokens = 100 * step;
  m.trained_tokens = 40 * step;
  m.tokens_per_second = 1234.5;
  return m;
}

TEST_F(MetricsTest, WritesOneObjectALineWithTheDocumentedKeys) {
  MetricsLog log(files_, temp_.path(), 0, {}, /*tensorboard=*/false);
  log.add(step_metrics(1));
  log.add(EvalMetrics{.step = 1, .epoch = 0.25, .values = {{"eval_loss", 2.5}}});
  const auto found = lines();
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0]["step"], 1);
  EXPECT_EQ(found[0]["loss"], 1.0 / 3.0);
  EXPECT_EQ(found[0]["learning_rate"], 5e-4);
  EXPECT_EQ(found[0]["grad_norm"], 0.7);
  EXPECT_EQ(found[0]["tokens"], 100);
  EXPECT_EQ(found[0]["trained_tokens"], 40);
  EXPECT_EQ(found[1]["eval_loss"], 2.5);
  EXPECT_FALSE(files_.exists(temp_ / "tensorboard"));
}

TEST_F(MetricsTest, LossRoundTripsAndNotFiniteIsNull) {
  MetricsLog log(files_, temp_.path(), 0, {}, false);
  StepMetrics m = step_metrics(1);
  m.loss = 0.1 + 0.2;
  m.grad_norm = std::numeric_limits<double>::quiet_NaN();
  log.add(m);
  EXPECT_EQ(lines()[0]["loss"].get<double>(), 0.1 + 0.2);
  EXPECT_TRUE(lines()[0]["grad_norm"].is_null());
}

TEST_F(MetricsTest, HistoryHasNoTimings) {
  MetricsLog log(files_, temp_.path(), 0, {}, false);
  StepMetrics m = step_metrics(1);
  log.add(m);
  m.tokens_per_second = 99;
  m.seconds = 7;
  log.add(m);
  EXPECT_EQ(log.history()[0], log.history()[1]);
  EXPECT_EQ(log.history()[0]["loss"], 1.0 / 3.0);
}

TEST_F(MetricsTest, ResumeCutsLaterStepsAndKeepsTheRestByteForByte) {
  std::string until_two;
  {
    MetricsLog log(files_, temp_.path(), 0, {}, false);
    log.add(step_metrics(1));
    log.add(step_metrics(2));
    log.add(EvalMetrics{.step = 2, .epoch = 0.5, .values = {{"eval_loss", 2.5}}});
    until_two = read_file(files_, path_);
    log.add(step_metrics(3));
    log.add(EvalMetrics{.step = 3, .epoch = 0.75, .values = {{"eval_loss", 2.4}}});
  }
  MetricsLog log(files_, temp_.path(), 2, {}, false);
  EXPECT_EQ(read_file(files_, path_), until_two);
  log.add(step_metrics(3));
  EXPECT_EQ(lines().back()["step"], 3);
}

TEST_F(MetricsTest, NewRunBeginsWithAnEmptyLog) {
  publish_file(files_, path_, std::string_view("{\"step\": 1}\n"));
  const MetricsLog log(files_, temp_.path(), 0, {}, false);
  EXPECT_EQ(read_file(files_, path_), "");
}

TEST_F(MetricsTest, TornLastLineIsLeftOutWithAWarning) {
  publish_file(files_, path_, std::string_view("{\"step\":1}\n{\"step\":2,\"lo"));
  ::testing::internal::CaptureStderr();
  cut_metrics(files_, path_, 5);
  EXPECT_EQ(read_file(files_, path_), "{\"step\":1}\n");
  EXPECT_THAT(::testing::internal::GetCapturedStderr(), HasSubstr("metrics.jsonl line 2"));
}

TEST_F(MetricsTest, CutIsWholeOrNotAtAll) {
  const std::string before = "{\"step\":1}\n{\"step\":2}\n";
  test::FailingFileSystem failing(files_, temp_.path());
  std::size_t n = 1;
  for (;; ++n) {
    publish_file(files_, path_, std::string_view(before));
    failing.fail_call(n, EIO, test::FailingFileSystem::Then::kDie);
    const Error error = test::caught([&] { cut_metrics(failing, path_, 1); });
    if (!failing.failed()) break;
    EXPECT_EQ(error.kind(), ErrorKind::kData) << n;
    const std::string text = read_file(files_, path_);
    EXPECT_TRUE(text == before || text == "{\"step\":1}\n") << n << ": " << text;
  }
  EXPECT_GT(n, 4U);
}

TEST_F(MetricsTest, FullDiskIsADataErrorThatNamesTheFile) {
  test::FailingFileSystem failing(files_, temp_.path());
  MetricsLog log(failing, temp_.path(), 0, {}, false);
  failing.fail_call(1, ENOSPC);
  const Error error = test::caught([&] { log.add(step_metrics(1)); });
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_THAT(error.what(), HasSubstr("metrics.jsonl"));
}

}  // namespace
}  // namespace weft::trainer
