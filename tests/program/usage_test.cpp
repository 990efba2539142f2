// What weft says when its command line or a run's config is wrong. All exit with 2.

#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

// A run's config with one thing changed.
ProcessResult train_with(const std::vector<std::string>& overrides) {
  const TempFolder temp;
  return weft(train_arguments(temp / "out", overrides));
}

TEST(Usage, NoVerb) { expect_refused(weft({}), 2, {"A subcommand is required"}); }

TEST(Usage, AnUnknownVerbIsAnsweredWithTheNearest) {
  expect_refused(weft({"tarin", "run.yaml"}), 2, {"no verb 'tarin'", "did you mean train?"});
  expect_refused(weft({"frobnicate"}), 2, {"no verb 'frobnicate'", "tokenize", "train", "merge"});
}

TEST(Usage, AnUnknownFlagIsNamed) {
  expect_refused(weft({"merge", "--modle", "x"}), 2, {"--model is required"});
  expect_refused(weft({"score", "--model", tiny_model().string(), "--frob"}), 2, {"--frob"});
}

TEST(Usage, HelpAndVersionAreNoErrors) {
  for (const char* flag : {"--help", "--version"}) {
    const ProcessResult result = weft({flag});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_THAT(result.out, HasSubstr("weft"));
    EXPECT_EQ(result.err, "");
  }
}

TEST(Usage, AConfigThatIsNotThere) {
  expect_refused(weft({"train", "nowhere/run.yaml"}), 3, {"nowhere/run.yaml"});
}

TEST(Usage, AConfigThatIsNotYaml) {
  const TempFolder temp;
  put(temp / "run.yaml", "max_steps: 3\nlora_target: [q_proj\n");
  expect_refused(weft({"train", (temp / "run.yaml").string()}), 2,
                 {"run.yaml:2", "bracket not closed"});
}

TEST(Usage, EverythingThatIsWrongIsReportedAtOnce) {
  const TempFolder temp;
  put(temp / "run.yaml", "max_step: 3\nlora_rank: many\nlearning_rate: -1\n");
  expect_refused(weft({"train", (temp / "run.yaml").string()}), 2,
                 {"run.yaml:1: max_step", "did you mean max_steps?", "run.yaml:2: lora_rank",
                  "run.yaml:3: learning_rate"});
}

TEST(Usage, AnOverrideThatIsUnknown) {
  expect_refused(train_with({"lora_rnak=4"}), 2, {"lora_rnak", "did you mean lora_rank?"});
}

TEST(Usage, AnOverrideThatIsNoAssignment) {
  expect_refused(train_with({"lora_rank"}), 2, {"lora_rank", "key=value"});
}

TEST(Usage, SettingsThatContradictEachOther) {
  expect_refused(train_with({"warmup_steps=3", "warmup_ratio=0.1"}), 2, {"are both set"});
  expect_refused(train_with({"load_best_model_at_end=true"}), 2, {"load_best_model_at_end"});
}

TEST(Usage, ADeviceThatIsNotThere) {
  // A machine with a GPU has one.
  if (fs::exists("/dev/nvidiactl") || fs::exists("/dev/dxg")) {
    GTEST_SKIP() << "this machine has a GPU";
  }
  expect_refused(train_with({"device=cuda"}), 2, {"device", "cuda"});
}

TEST(Usage, ARefusedRunWritesNoConfig) {
  const TempFolder temp;
  ASSERT_EQ(weft(train_arguments(temp / "out")).exit_code, 0);
  const std::string before = content(temp / "out/config.yaml");
  expect_refused(weft(train_arguments(temp / "out", {"lora_rank=16", "adapter_name_or_path=''"})),
                 2, {"lora_rank"});
  EXPECT_EQ(content(temp / "out/config.yaml"), before);
}

}  // namespace
}  // namespace weft::test
