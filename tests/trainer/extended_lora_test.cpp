// Runs with base and adapters in one product (lora_gemm: extended).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "tests/model/fixture.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/run_testing.h"

namespace weft {
namespace {

using test::fixture_config;
using ::testing::HasSubstr;

TEST(ExtendedLora, TheCurveOf32StepsIsThatOfPeft) {
  const test::TempFolder temp;
  (void)test::run(fixture_config("train_curve", temp / "out", {"lora_gemm=extended"}));
  const Json expected =
      read_json(posix_file_system(), test::fixture_folder() / "lora/train_curve/curve.json");
  const auto curve = test::curve_of(temp / "out");
  ASSERT_EQ(curve.size(), 32U);
  ASSERT_EQ(expected.at("steps").size(), curve.size());
  for (std::size_t i = 0; i < curve.size(); ++i) {
    const Json& theirs = expected.at("steps").at(i);
    EXPECT_NEAR(curve[i].first, theirs.at("loss").get<double>(), 1e-4) << "step " << i + 1;
    EXPECT_NEAR(curve[i].second, theirs.at("grad_norm").get<double>(), 1e-3) << "step " << i + 1;
  }
}

TEST(ExtendedLora, InBf16TheCurveIsNearThatOfThePlainForm) {
  const test::TempFolder temp;
  (void)test::run(fixture_config("train_curve", temp / "plain", {"dtype=bf16"}));
  (void)test::run(
      fixture_config("train_curve", temp / "extended", {"dtype=bf16", "lora_gemm=extended"}));
  const auto plain = test::curve_of(temp / "plain");
  const auto extended = test::curve_of(temp / "extended");
  ASSERT_EQ(plain.size(), extended.size());
  EXPECT_NE(plain, extended) << "the form was the same";
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_NEAR(extended[i].first, plain[i].first, 0.02 * plain[i].first) << "step " << i + 1;
  }
}

TEST(ExtendedLora, AResumedRunEndsBitForBitAsIfNeverStopped) {
  test::expect_resumed_equals_whole({"lora_gemm=extended", "dtype=bf16"});
}

// The form is of the run and not of what it leaves: a run may go on in the other.
TEST(ExtendedLora, ARunMayGoOnInTheOtherForm) {
  const test::TempFolder temp;
  (void)test::run(fixture_config("train_curve", temp / "plain", {"max_steps=4", "save_steps=2"}));
  fs::create_directories(temp / "changed");
  fs::copy(temp / "plain/checkpoint-000002", temp / "changed/checkpoint-000002",
           fs::copy_options::recursive);
  (void)test::run(fixture_config("train_curve", temp / "changed",
                                 {"max_steps=4", "save_steps=2", "lora_gemm=extended"}));
  const auto plain = test::read_tensors(temp / "plain/final/adapter_model.safetensors");
  const auto changed = test::read_tensors(temp / "changed/final/adapter_model.safetensors");
  ASSERT_EQ(changed.size(), plain.size());
  for (const auto& [name, tensor] : plain) {
    EXPECT_LT(test::relative_error(changed.at(name), tensor), 1e-3) << name;
  }
}

TEST(ExtendedLora, EvaluatesWhatItTrains) {
  const test::TempFolder temp;
  const std::string rows = (test::fixture_folder() / "lora/train_curve/rows.jsonl").string();
  const auto losses = [&](const char* out, const std::string& form) {
    (void)test::run(
        fixture_config("train_curve", temp / out,
                       {"max_steps=4", "eval_steps=2", "eval_strategy=steps", "lora_gemm=" + form,
                        fmt::format("eval_datasets=[{{path: {}}}]", rows)}));
    std::vector<double> found;
    for (const Json& line : test::metrics_of(temp / out)) {
      if (line.contains("eval_loss")) {
        found.push_back(line.at("eval_loss").get<double>());
      }
    }
    return found;
  };
  const std::vector<double> plain = losses("plain", "plain");
  const std::vector<double> extended = losses("extended", "extended");
  ASSERT_EQ(plain.size(), 2U);
  ASSERT_EQ(extended.size(), plain.size());
  EXPECT_LT(plain[1], plain[0]);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_NEAR(extended[i], plain[i], 1e-5);
  }
}

}  // namespace
}  // namespace weft
