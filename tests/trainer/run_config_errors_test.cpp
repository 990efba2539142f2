#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/caught.h"
#include "trainer/run_config.h"

namespace weft::trainer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kRequired =
    "model_name_or_path: m\noutput_dir: o\ndatasets: [d.jsonl]\n";

Error refusal(std::string_view text, const std::vector<std::string>& overrides = {}) {
  const Error error =
      test::caught([&] { static_cast<void>(parse_run_config(text, "run.yaml", overrides)); });
  EXPECT_EQ(error.kind(), ErrorKind::kConfig) << error.what();
  return error;
}

/// The message for one more line (line 4) under the required ones.
std::string message(const std::string& more) {
  return refusal(std::string(kRequired) + more).what();
}

TEST(RunConfigErrors, MisspeltKeyIsAnsweredWithTheNearest) {
  EXPECT_THAT(message("learning_rat: 1e-4"),
              AllOf(HasSubstr("run.yaml:4"), HasSubstr("did you mean learning_rate?")));
  EXPECT_THAT(message("lora_rnk: 4"), HasSubstr("did you mean lora_rank?"));
}

TEST(RunConfigErrors, WeightsOnSomeDatasetsOnly) {
  const auto datasets = [](const std::string& list) {
    return std::string(
        refusal("model_name_or_path: m\noutput_dir: o\ndatasets: " + list + "\n").what());
  };
  EXPECT_THAT(datasets("[{path: a, weight: 0.7}, {path: b}, c]"),
              HasSubstr("weight is set on 1 of 3; set it on all or on none"));
  EXPECT_THAT(datasets("[{path: a, weight: 0}]"), HasSubstr("weight"));
  EXPECT_THAT(datasets("[{path: a, weight: -0.5}]"), HasSubstr("above 0"));
  EXPECT_THAT(datasets("[{path: a, weight: 1}, {path: b, weight: 2}]\ndeduplicate: true"),
              HasSubstr("weight needs each dataset in shards of its own"));
  EXPECT_THAT(message("eval_datasets: [{path: e, weight: 1}]"),
              HasSubstr("eval_datasets: weight has no meaning there"));
}

TEST(RunConfigErrors, ASplitThatCannotBe) {
  EXPECT_THAT(message("val_size: 1.5"), HasSubstr("val_size: is 1.5; expected a share"));
  EXPECT_THAT(message("val_size: 0"), HasSubstr("val_size"));
  EXPECT_THAT(message("val_size: 0.1\neval_datasets: [e]"),
              HasSubstr("val_size: eval_datasets says what to evaluate on; keep one of them"));
  const std::string weighted =
      "model_name_or_path: m\noutput_dir: o\ndatasets: "
      "[{path: a, weight: 1}, {path: b, weight: 2}]\n";
  EXPECT_THAT(refusal(weighted + "deduplicate: true").what(), HasSubstr("cannot go with weight"));
  EXPECT_THAT(refusal(weighted + "val_size: 10").what(), HasSubstr("cannot go with weight"));
}

TEST(RunConfigErrors, FieldMapsAreStrict) {
  const auto dataset = [](const std::string& more) {
    return std::string(
        refusal("model_name_or_path: m\noutput_dir: o\ndatasets: [{path: a, " + more + "}]\n")
            .what());
  };
  EXPECT_THAT(dataset("columns: {promt: q}"),
              HasSubstr("columns: unknown name 'promt', did you mean 'prompt'?"));
  EXPECT_THAT(dataset("columns: [q]"), HasSubstr("columns: must be a map of names"));
  EXPECT_THAT(dataset("tags: {user: q}"), HasSubstr("tags: unknown name 'user'"));
  EXPECT_THAT(dataset("preference: best"), HasSubstr("preference"));
  EXPECT_THAT(dataset("sample: 0"), HasSubstr("sample"));
}

TEST(RunConfigErrors, DuplicateKey) {
  EXPECT_THAT(message("seed: 1\nseed: 2"), AllOf(HasSubstr("run.yaml"), HasSubstr("seed")));
}

TEST(RunConfigErrors, KeyGivenAgainByAnAlias) {
  EXPECT_THAT(message("lora_rank: 4\nlora_r: 4"),
              AllOf(HasSubstr("run.yaml:5"), HasSubstr("same key as lora_rank")));
}

TEST(RunConfigErrors, QuotedNumberIsAString) {
  EXPECT_THAT(message("lora_rank: \"16\""),
              AllOf(HasSubstr("run.yaml:4: lora_rank"), HasSubstr("integer")));
}

TEST(RunConfigErrors, NegativeLearningRate) {
  EXPECT_THAT(message("learning_rate: -1"),
              AllOf(HasSubstr("learning_rate"), HasSubstr("above 0"), HasSubstr("-1")));
}

TEST(RunConfigErrors, LearningRateThatIsNotANumber) {
  EXPECT_THAT(message("learning_rate: .nan"),
              AllOf(HasSubstr("learning_rate"), HasSubstr("expected auto or a number")));
  EXPECT_THAT(message("learning_rate: fast"), HasSubstr("expected auto or a number"));
  EXPECT_THAT(message("learning_rate:"), HasSubstr("expected auto or a number"));
}

TEST(RunConfigErrors, CountThatIsTooLargeOrBroken) {
  EXPECT_THAT(message("max_steps: 1e30"), HasSubstr("run.yaml:4: max_steps: must be an integer"));
  EXPECT_THAT(message("max_steps: 99999999999"),
              HasSubstr("max_steps: must be at least -1 and at most"));
  EXPECT_THAT(message("per_device_train_batch_size: 2.7"), HasSubstr("must be an integer"));
  EXPECT_THAT(message("per_device_train_batch_size: 0"), HasSubstr("must be at least 1"));
}

TEST(RunConfigErrors, EveryRangeIsChecked) {
  for (const char* line : {"max_length: 1",
                           "gradient_accumulation_steps: 0",
                           "num_train_epochs: 0",
                           "weight_decay: -0.1",
                           "adam_beta1: 1",
                           "adam_beta2: -0.1",
                           "adam_epsilon: 0",
                           "max_grad_norm: -1",
                           "warmup_steps: -1",
                           "warmup_ratio: 1.5",
                           "lora_rank: 0",
                           "lora_alpha: 0",
                           "lora_dropout: 1",
                           "logging_steps: 0",
                           "save_steps: 0",
                           "save_total_limit: 0",
                           "early_stopping_patience: 0",
                           "nonfinite_skip_limit: 0",
                           "seed: -1",
                           "num_threads: 0",
                           "min_lr: -1",
                           "lr_power: 0",
                           "eval_steps: 0",
                           "early_stopping_threshold: -1",
                           "lr_num_cycles: 0",
                           "lr_timescale: 0"}) {
    const std::string text(line);
    EXPECT_THAT(message(text),
                HasSubstr("run.yaml:4: " + text.substr(0, text.find(':')) + ": must be "))
        << line;
  }
}

TEST(RunConfigErrors, EveryChoiceIsChecked) {
  for (const char* key :
       {"lr_scheduler_type", "finetuning_type", "dtype", "device", "report_to", "eval_strategy",
        "save_strategy", "nonfinite", "overlong", "metric_for_best_model"}) {
    EXPECT_THAT(message(fmt::format("{}: zzz", key)),
                AllOf(HasSubstr(key), HasSubstr("must be one of"), HasSubstr("zzz")));
  }
  EXPECT_THAT(message("lr_decay_type: zzz"),
              AllOf(HasSubstr("lr_decay_type"), HasSubstr("1-sqrt"), HasSubstr("zzz")));
}

TEST(RunConfigErrors, AllProblemsAreListedTogether) {
  EXPECT_THAT(message("lora_rank: 0\nsede: 1\nmax_length: long\nfp16: true"),
              AllOf(HasSubstr("run.yaml:4: lora_rank"), HasSubstr("run.yaml:5: sede"),
                    HasSubstr("run.yaml:6: max_length"), HasSubstr("run.yaml:7: fp16")));
}

TEST(RunConfigErrors, ProblemsOfFileAndCommandLineAreListedTogether) {
  const std::string text =
      refusal(std::string(kRequired) + "lora_rank: 0", {"max_steps=x", "nonsense", "sede=3"})
          .what();
  EXPECT_THAT(text, AllOf(HasSubstr("run.yaml:4: lora_rank"), HasSubstr("max_steps"),
                          HasSubstr("expected key=value"), HasSubstr("did you mean seed?")));
}

TEST(RunConfigErrors, RequiredKeysThatAreMissing) {
  EXPECT_THAT(refusal("seed: 3").what(),
              AllOf(HasSubstr("run.yaml: model_name_or_path: is missing"),
                    HasSubstr("output_dir: is missing"), HasSubstr("datasets: is missing")));
}

TEST(RunConfigErrors, UnknownProjection) {
  EXPECT_THAT(message("lora_target: [q_proj, v_porj]"),
              AllOf(HasSubstr("v_porj"), HasSubstr("did you mean v_proj?")));
  EXPECT_THAT(message("lora_target: []"), HasSubstr("must be all, or a list"));
  EXPECT_THAT(message("lora_target: [q_proj, q_proj]"), HasSubstr("'q_proj' is there twice"));
  EXPECT_THAT(message("lora_target: {q_proj: 1}"), HasSubstr("must be all, or a list"));
}

TEST(RunConfigErrors, Datasets) {
  const auto with = [](const std::string& datasets) {
    return std::string(
        refusal("model_name_or_path: m\noutput_dir: o\ndatasets: " + datasets).what());
  };
  EXPECT_THAT(with("[{format: chat}]"),
              AllOf(HasSubstr("run.yaml:3: datasets"), HasSubstr("datasets[0]: path is missing")));
  EXPECT_THAT(with("[a.txt, {path: b, formt: text}]"),
              AllOf(HasSubstr("datasets[1]"), HasSubstr("did you mean format?")));
  EXPECT_THAT(with("[{path: b, format: parquet}]"), HasSubstr("must be one of auto, text, chat, "));
  EXPECT_THAT(with("[{path: b, sample_by: separator}]"),
              HasSubstr("separator and sample_by: separator belong together"));
  EXPECT_THAT(with("{path: b}"), HasSubstr("must be a list of datasets"));
  EXPECT_THAT(with("[[a]]"), HasSubstr("datasets[0]: must be a path or a map"));
  EXPECT_THAT(with("[]"), HasSubstr("datasets: is missing"));
}

TEST(RunConfigErrors, WarmUpByStepsAndRatio) {
  EXPECT_THAT(message("warmup_steps: 3\nwarmup_ratio: 0.1"),
              HasSubstr("warmup_steps: 3 and warmup_ratio: 0.1 are both set"));
}

TEST(RunConfigErrors, WarmUpOfAConstantSchedule) {
  EXPECT_THAT(message("lr_scheduler_type: constant\nwarmup_steps: 3"),
              HasSubstr("use constant_with_warmup"));
}

TEST(RunConfigErrors, NoStepsAtAll) {
  EXPECT_THAT(message("max_steps: 0"), HasSubstr("max_steps: is 0"));
}

TEST(RunConfigErrors, ParameterOfAnotherSchedule) {
  EXPECT_THAT(message("lr_scheduler_type: cosine\nlr_power: 2"),
              HasSubstr("lr_power: lr_scheduler_type: cosine does not use it; polynomial does"));
  for (const char* line : {"lr_num_cycles: 2", "min_lr: 1e-6", "min_lr_rate: 0.1", "lr_end: 1e-8",
                           "lr_decay_steps: 3", "lr_decay_type: cosine", "lr_timescale: 3"}) {
    EXPECT_THAT(message(line), HasSubstr("lr_scheduler_type: linear does not use it")) << line;
  }
}

TEST(RunConfigErrors, MinLrMissingOrTwice) {
  EXPECT_THAT(message("lr_scheduler_type: cosine_with_min_lr"),
              HasSubstr("exactly one of min_lr and min_lr_rate; none"));
  EXPECT_THAT(message("lr_scheduler_type: cosine_with_min_lr\nmin_lr: 1e-6\nmin_lr_rate: 0.1"),
              HasSubstr("both are set"));
  EXPECT_THAT(message("lr_scheduler_type: cosine_with_min_lr\nmin_lr: 1e-2\nlearning_rate: 1e-3"),
              HasSubstr("min_lr: 0.01 is above learning_rate: 0.001"));
}

TEST(RunConfigErrors, StableDecayNeedsItsLength) {
  EXPECT_THAT(message("lr_scheduler_type: warmup_stable_decay"), HasSubstr("needs lr_decay_steps"));
  EXPECT_THAT(message("lr_scheduler_type: warmup_stable_decay\nlr_decay_steps: 8\nwarmup_steps: "
                      "5\nmax_steps: 10"),
              HasSubstr("5 + 8 = 13 is more than max_steps: 10"));
}

TEST(RunConfigErrors, PolynomialThatDoesNotFall) {
  EXPECT_THAT(message("lr_scheduler_type: polynomial\nlr_end: 1e-3\nlearning_rate: 1e-4"),
              HasSubstr("lr_end: 0.001 must be below learning_rate: 0.0001"));
}

TEST(RunConfigErrors, RecordingsThatCannotBe) {
  EXPECT_THAT(message("cuda_graphs: true\nlora_dropout: 0.1"),
              HasSubstr("set lora_dropout: 0, or cuda_graphs: false"));
  EXPECT_THAT(message("cuda_graphs: true\nshard_base: node"),
              HasSubstr("set shard_base: none instead of node"));
  EXPECT_THAT(message("cuda_graphs: true\ncp_size: 4"),
              HasSubstr("set context_parallel_size: 1 instead of 4"));
}

TEST(RunConfigErrors, AdapterWithFullFineTuning) {
  EXPECT_THAT(message("finetuning_type: full\nbase_dtype: fp8"),
              HasSubstr("finetuning_type: full freezes nothing"));
  EXPECT_THAT(message("base_dtype: int8"), HasSubstr("base_dtype"));
  EXPECT_THAT(message("fp8: e4m3"), HasSubstr("set base_dtype"));
  EXPECT_THAT(message("finetuning_type: full\nadapter_name_or_path: a"),
              AllOf(HasSubstr("adapter_name_or_path"), HasSubstr("merge it into the base first")));
}

TEST(RunConfigErrors, ExtendedAdaptersWhereTheyCanNotBe) {
  const auto with = [](const std::string& line) { return message("lora_gemm: extended\n" + line); };
  EXPECT_THAT(with("lora_dropout: 0.1"),
              HasSubstr("lora_gemm: extended multiplies by all adapters of a matrix at once, and "
                        "lora_dropout: 0.1 has a mask for each; set lora_gemm: plain"));
  EXPECT_THAT(with("base_dtype: fp8"), HasSubstr("base_dtype: fp8 has 8 bits for the matrix"));
  EXPECT_THAT(with("shard_base: node"), HasSubstr("shard_base: node gathers it anew"));
  EXPECT_THAT(with("finetuning_type: full"), HasSubstr("finetuning_type: full has neither"));
  EXPECT_THAT(message("lora_gemm: fused"), HasSubstr("lora_gemm"));
}

TEST(RunConfigErrors, EvaluationWithoutData) {
  EXPECT_THAT(message("eval_strategy: steps"),
              HasSubstr("eval_strategy: steps needs eval_datasets"));
  EXPECT_THAT(message("eval_steps: 5"), HasSubstr("eval_steps: needs eval_datasets"));
  EXPECT_THAT(message("early_stopping_patience: 2"),
              HasSubstr("early_stopping_patience: needs evaluations"));
  EXPECT_THAT(message("load_best_model_at_end: true"),
              HasSubstr("load_best_model_at_end: needs evaluations"));
}

TEST(RunConfigErrors, EvalStepsWithAnotherStrategy) {
  EXPECT_THAT(message("eval_datasets: [e]\neval_strategy: epoch\neval_steps: 5"),
              HasSubstr("eval_steps: eval_strategy: epoch does not use it"));
}

TEST(RunConfigErrors, ThresholdWithoutPatience) {
  EXPECT_THAT(message("early_stopping_threshold: 0.1"), HasSubstr("needs early_stopping_patience"));
}

TEST(RunConfigErrors, BestModelNeedsACheckpointOfEachEvaluation) {
  EXPECT_THAT(message("eval_datasets: [e]\nload_best_model_at_end: true"),
              HasSubstr("save_strategy: steps must equal eval_strategy: epoch"));
  EXPECT_THAT(
      message("eval_datasets: [e]\nload_best_model_at_end: true\neval_steps: 30\nsave_steps: 100"),
      HasSubstr("save_steps: 100 must be a multiple of eval_steps: 30; 100 = 3 x 30 + 10"));
}

TEST(RunConfigErrors, SkipLimitWithoutSkip) {
  EXPECT_THAT(message("nonfinite_skip_limit: 3"), HasSubstr("needs nonfinite: skip"));
}

TEST(RunConfigErrors, OutputIntoTheModel) {
  EXPECT_THAT(
      refusal("model_name_or_path: models/a\noutput_dir: ./models/b/../a/\ndatasets: [d]").what(),
      HasSubstr("output_dir: is the folder of the base model"));
  EXPECT_THAT(message("adapter_name_or_path: o/"),
              HasSubstr("output_dir: is the folder of the adapter"));
}

TEST(RunConfigErrors, ContradictionsAreListedTogether) {
  EXPECT_THAT(
      message("warmup_steps: 3\nwarmup_ratio: 0.1\neval_steps: 5\nlr_power: 2"),
      AllOf(HasSubstr("are both set"), HasSubstr("eval_steps: needs"), HasSubstr("lr_power: ")));
}

TEST(RunConfigErrors, ForeignSpellings) {
  EXPECT_THAT(message("bf16: maybe"), HasSubstr("run.yaml:4: bf16: must be true, false or auto"));
  EXPECT_THAT(message("fp16: true"), HasSubstr("weft does not train in fp16"));
  EXPECT_THAT(message("optim: adafactor"),
              AllOf(HasSubstr("optim: is adafactor"), HasSubstr("AdamW")));
  EXPECT_THAT(message("lora_target_linear: false"),
              HasSubstr("list the projections in lora_target"));
  EXPECT_THAT(message("bf16: true\ndtype: fp32"), HasSubstr("bf16: dtype is also set by itself"));
  EXPECT_THAT(message("lr_scheduler_kwargs: 3"), HasSubstr("lr_scheduler_kwargs: must be a map"));
  EXPECT_THAT(message("lr_scheduler_kwargs: {warmup_type: cosine}"),
              HasSubstr("warmup_type: unknown key"));
}

TEST(RunConfigErrors, DeepNestingAndAliasesAreBounded) {
  EXPECT_THAT(message("seed: " + std::string(1000, '[')), HasSubstr("run.yaml"));
  EXPECT_THAT(message("seed: &a 3\ndata_seed: *a"),
              AllOf(HasSubstr("run.yaml"), Not(HasSubstr("no error"))));
}

TEST(RunConfigErrors, MissingFileIsNamed) {
  const Error error = test::caught(
      [] { static_cast<void>(load_run_config(posix_file_system(), "/nowhere/run.yaml")); });
  EXPECT_THAT(error.what(), HasSubstr("/nowhere/run.yaml"));
}

}  // namespace
}  // namespace weft::trainer
