#include "trainer/run_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_folder.h"

namespace weft::trainer {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kRequired =
    "model_name_or_path: models/tiny\n"
    "output_dir: runs/first\n"
    "datasets: [{path: data/chats.jsonl}]\n";

LoadedConfig parse(const std::string& more, const std::vector<std::string>& overrides = {}) {
  return parse_run_config(std::string(kRequired) + more, "run.yaml", overrides);
}

TEST(RunConfig, DefaultsAreTheDocumentedOnes) {
  const LoadedConfig loaded = parse("");
  const RunConfig& c = loaded.config;
  EXPECT_THAT(loaded.notes, IsEmpty());
  EXPECT_EQ(c.model_name_or_path, "models/tiny");
  EXPECT_EQ(c.lora_rank, 32);
  EXPECT_EQ(c.lora_alpha, 32);
  EXPECT_EQ(c.lora_target, lora_target_names());
  EXPECT_FALSE(c.learning_rate.has_value());
  EXPECT_EQ(c.eval_strategy, "no");
  EXPECT_EQ(c.resume_from_checkpoint, "auto");
  EXPECT_THAT(c.datasets, ElementsAre(data::TokenizeInput{.path = "data/chats.jsonl"}));
}

TEST(RunConfig, ExampleOfTheDesignIsRead) {
  const RunConfig c =
      parse(
          "max_length: 4096\npacking: true\nper_device_train_batch_size: 2\n"
          "gradient_accumulation_steps: 4\nnum_train_epochs: 2\nlearning_rate: auto\n"
          "lr_scheduler_type: cosine\nwarmup_ratio: 0.03\nlora_rank: 32\nlora_alpha: 32\n"
          "lora_target: all\ndtype: bf16\ndevice: auto\nlogging_steps: 1\nsave_steps: 200\nseed: "
          "42\n")
          .config;
  EXPECT_EQ(c.max_length, 4096);
  EXPECT_EQ(c.schedule.type, "cosine");
  EXPECT_EQ(c.warmup_ratio, 0.03);
  EXPECT_EQ(c.dtype, "bf16");
  EXPECT_EQ(c.save_steps, 200);
}

TEST(RunConfig, NamesOfOtherToolsAreTakenWithANote) {
  const std::vector<std::pair<std::string, std::string>> aliases = {
      {"lora_r: 8", "lora_rank: 8"},
      {"cutoff_len: 77", "max_length: 77"},
      {"sequence_len: 77", "max_length: 77"},
      {"max_seq_length: 77", "max_length: 77"},
      {"micro_batch_size: 3", "per_device_train_batch_size: 3"},
      {"num_epochs: 3.0", "num_train_epochs: 3.0"},
      {"lora_target_modules: [v_proj]", "lora_target: [v_proj]"},
      {"target_modules: all-linear", "lora_target: all"},
      {"lr_scheduler: cosine", "lr_scheduler_type: cosine"},
      {"early_stop_interval: null", "early_stopping_patience: null"}};
  for (const auto& [alias, canonical] : aliases) {
    const LoadedConfig loaded = parse(alias);
    EXPECT_THAT(loaded.config.to_yaml(), HasSubstr(canonical + "\n"));
    const std::string name = alias.substr(0, alias.find(':'));
    EXPECT_THAT(loaded.notes, ElementsAre(HasSubstr(name + " is read as"))) << alias;
  }
}

TEST(RunConfig, ForeignSpellingsAreTranslatedWithANote) {
  EXPECT_EQ(parse("bf16: true").config.dtype, "bf16");
  EXPECT_THAT(parse("bf16: true").notes, ElementsAre("bf16: true is read as dtype: bf16"));
  EXPECT_EQ(parse("fp16: false").config.dtype, "auto");
  EXPECT_TRUE(parse("fp8: true").config.fp8_base());
  EXPECT_THAT(parse("fp8: true").notes, ElementsAre("fp8: true is read as base_dtype: fp8"));
  EXPECT_FALSE(parse("fp8: false").config.fp8_base());
  EXPECT_EQ(parse("lora_target_linear: true").config.lora_target, lora_target_names());
  EXPECT_THAT(parse("optim: adamw_torch_fused").notes, ElementsAre(HasSubstr("adamw_torch_fused")));
  const RunConfig c = parse(
                          "lr_scheduler_type: cosine_with_min_lr\nlr_scheduler_kwargs: "
                          "{min_lr_rate: 0.1, num_cycles: 0.75}")
                          .config;
  EXPECT_EQ(c.schedule.min_lr_rate, 0.1);
  EXPECT_EQ(c.schedule.num_cycles, 0.75);
}

TEST(RunConfig, BaseModelIsModelNameOrPath) {
  const LoadedConfig loaded =
      parse_run_config("base_model: m\noutput_dir: o\ndatasets: d.jsonl\n", "run.yaml");
  EXPECT_EQ(loaded.config.model_name_or_path, "m");
  EXPECT_THAT(loaded.config.datasets, ElementsAre(data::TokenizeInput{.path = "d.jsonl"}));
}

TEST(RunConfig, OverridesWinOverTheFile) {
  const RunConfig c = parse("max_steps: 10\nlora_rank: 4\n",
                            {"max_steps=20", "lora_target=[q_proj, v_proj]", "lora_r=8"})
                          .config;
  EXPECT_EQ(c.max_steps, 20);
  EXPECT_EQ(c.lora_rank, 8);
  EXPECT_THAT(c.lora_target, ElementsAre("q_proj", "v_proj"));
}

TEST(RunConfig, TargetsTakeTextWithCommasAndKeepTheirOrder) {
  EXPECT_THAT(parse("lora_target: v_proj, q_proj").config.lora_target,
              ElementsAre("q_proj", "v_proj"));
}

TEST(RunConfig, DatasetsMayBePathsOrMaps) {
  const RunConfig c = parse_run_config(
                          "model_name_or_path: m\noutput_dir: o\ndatasets:\n- a.jsonl\n- path: "
                          "b.txt\n  format: text\n"
                          "  sample_by: separator\n  separator: '---'\n",
                          "run.yaml")
                          .config;
  EXPECT_THAT(c.datasets, ElementsAre(data::TokenizeInput{.path = "a.jsonl"},
                                      data::TokenizeInput{.path = "b.txt",
                                                          .format = "text",
                                                          .sample_by = "separator",
                                                          .separator = "---"}));
}

TEST(RunConfig, DatasetsMayHaveFieldMaps) {
  const LoadedConfig loaded = parse_run_config(
      "model_name_or_path: m\noutput_dir: o\ndatasets:\n- path: a.csv\n"
      "  columns: {prompt: question, response: answer}\n"
      "  tags: {user_tag: asker}\n  preference: chosen\n  sample: 7\n",
      "run.yaml");
  const data::TokenizeInput& input = loaded.config.datasets.at(0);
  // LLaMA-Factory's words for a question and its answer.
  EXPECT_EQ(input.fields.columns, (std::map<std::string, std::string>{{"instruction", "question"},
                                                                      {"output", "answer"}}));
  EXPECT_EQ(input.fields.tags, (std::map<std::string, std::string>{{"user_tag", "asker"}}));
  EXPECT_EQ(input.preference, "chosen");
  EXPECT_EQ(input.sample, 7);
  // What is written is read back.
  EXPECT_EQ(parse_run_config(loaded.config.to_yaml(), "again.yaml").config.datasets,
            loaded.config.datasets);
}

TEST(RunConfig, ASplitIsDataToEvaluateOn) {
  EXPECT_EQ(parse("val_size: 0.1").config.eval_strategy, "epoch");
  EXPECT_EQ(parse("val_set_size: 200").config.val_size, 200.0);
}

TEST(RunConfig, ResumeTakesTruthValues) {
  EXPECT_EQ(parse("resume_from_checkpoint: true").config.resume_from_checkpoint, "auto");
  EXPECT_EQ(parse("resume_from_checkpoint: false").config.resume_from_checkpoint, "none");
  EXPECT_EQ(parse("resume_from_checkpoint: null").config.resume_from_checkpoint, "none");
  EXPECT_EQ(parse("resume_from_checkpoint: runs/a/checkpoint-000007").config.resume_from_checkpoint,
            "runs/a/checkpoint-000007");
}

TEST(RunConfig, EvalStrategyIsResolved) {
  EXPECT_EQ(parse("eval_datasets: [e.jsonl]").config.eval_strategy, "epoch");
  EXPECT_EQ(parse("eval_datasets: [e.jsonl]\neval_steps: 5").config.eval_strategy, "steps");
}

TEST(RunConfig, ResolvedFileReadsBackEqual) {
  const RunConfig c =
      parse(
          "learning_rate: 3e-4\nlora_target: [q_proj]\neval_datasets: [{path: \"a: b.txt\", "
          "format: "
          "text, sample_by: separator, separator: '#'}]\neval_steps: 7\nlr_scheduler_type: "
          "warmup_stable_decay\nlr_decay_steps: 5\nlr_decay_type: 1-sqrt\nsave_total_limit: 2\n"
          "weight_decay: 0.1\n")
          .config;
  const LoadedConfig again = parse_run_config(c.to_yaml(), "config.yaml");
  EXPECT_EQ(again.config.to_yaml(), c.to_yaml());
  EXPECT_THAT(again.notes, IsEmpty());
  EXPECT_EQ(again.config.eval_datasets, c.eval_datasets);
  EXPECT_EQ(again.config.learning_rate, 3e-4);
}

TEST(RunConfig, IsReadFromAFile) {
  const test::TempFolder temp;
  publish_file(posix_file_system(), temp / "run.yaml", kRequired);
  EXPECT_EQ(load_run_config(posix_file_system(), temp / "run.yaml", {"seed=7"}).config.seed, 7);
}

TEST(RunConfig, TotalStepsAreMaxStepsOrEpochsRoundedUp) {
  EXPECT_EQ(parse("max_steps: 20").config.total_steps(7), 20);
  EXPECT_EQ(parse("num_train_epochs: 2").config.total_steps(7), 14);
  EXPECT_EQ(parse("num_train_epochs: 1.5").config.total_steps(7), 11);
}

TEST(RunConfig, ScheduleOptionsResolveTheWarmUp) {
  const RunConfig ratio = parse("warmup_ratio: 0.03\nlr_scheduler_type: cosine").config;
  EXPECT_EQ(ratio.schedule_options(101, 1e-3).warmup_steps, 4);
  const RunConfig steps = parse("warmup_steps: 9").config;
  const ScheduleOptions options = steps.schedule_options(101, 1e-3);
  EXPECT_EQ(options.warmup_steps, 9);
  EXPECT_EQ(options.total_steps, 101);
  EXPECT_EQ(options.peak_learning_rate, 1e-3);
}

TEST(RunConfig, LearningRateAutoDependsOnWhatIsTrained) {
  EXPECT_EQ(parse("").config.peak_learning_rate(2000), 5e-4);
  EXPECT_EQ(parse("finetuning_type: full").config.peak_learning_rate(2000), 5e-5);
  EXPECT_EQ(parse("learning_rate: 1e-3").config.peak_learning_rate(2000), 1e-3);
}

TEST(RunConfig, IdentityAndSettingsShareTheKeysBetweenThem) {
  const RunConfig c = parse("").config;
  EXPECT_EQ(c.identity().at("lora_rank"), "32");
  EXPECT_EQ(c.identity().at("lora_target"), "all");
  EXPECT_EQ(c.settings().at("learning_rate"), "auto");
  EXPECT_EQ(c.settings().count("lora_rank"), 0U);
  EXPECT_EQ(c.settings().count("output_dir"), 0U);
  EXPECT_NE(parse("seed: 43").config.identity(), c.identity());
}

TEST(RunConfig, SettingsWithoutEffectAreNoted) {
  EXPECT_THAT(parse("finetuning_type: full\nlora_rank: 8").notes,
              Contains(HasSubstr("lora_rank has no effect")));
  EXPECT_THAT(parse("max_steps: 5\nnum_train_epochs: 2").notes,
              Contains(HasSubstr("max_steps: 5 wins")));
  EXPECT_THAT(parse("max_steps: 5\nwarmup_steps: 9").notes,
              Contains(HasSubstr("does not end within max_steps: 5")));
  EXPECT_THAT(parse("save_strategy: no\nsave_steps: 5").notes,
              Contains(HasSubstr("no effect with save_strategy: no")));
}

}  // namespace
}  // namespace weft::trainer
