// Whole runs: against PEFT's and transformers' curves, and resumed at every step.

#include "trainer/trainer.h"

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>
#include <ATen/record_function.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "data/shard_writer.h"
#include "kernels/host_copies.h"
#include "model/safetensors.h"
#include "tests/model/fixture.h"
#include "tests/support/temp_folder.h"
#include "tests/trainer/run_testing.h"
#include "trainer/base_model.h"

namespace weft {
namespace {

using test::curve_of;
using test::fixture_config;
using test::metrics_of;
using test::run;
using ::testing::HasSubstr;

class CurveTest : public ::testing::TestWithParam<const char*> {};

TEST_P(CurveTest, EveryStepEqualsTheReference) {
  const test::TempFolder temp;
  run(fixture_config(GetParam(), temp / "out"));
  const Json expected =
      read_json(posix_file_system(), test::fixture_folder() / "lora" / GetParam() / "curve.json");
  const auto lines = metrics_of(temp / "out");
  ASSERT_EQ(lines.size(), expected.at("steps").size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Json& theirs = expected.at("steps").at(i);
    EXPECT_NEAR(lines[i].at("loss").get<double>(), theirs.at("loss").get<double>(), 1e-4)
        << "step " << i + 1;
    EXPECT_NEAR(lines[i].at("grad_norm").get<double>(), theirs.at("grad_norm").get<double>(), 1e-3);
    EXPECT_NEAR(lines[i].at("learning_rate").get<double>(),
                theirs.at("learning_rate").get<double>(), 1e-12);
  }
}
INSTANTIATE_TEST_SUITE_P(Fixtures, CurveTest, ::testing::Values("train_curve", "full_curve"));

// A run with everything that has state: dropout, shuffling, accumulation over an epoch's border,
// clipping.
std::vector<std::string> stateful() {
  return {"shuffle=true",
          "lora_dropout=0.1",
          "max_steps=7",
          "save_steps=1",
          "gradient_accumulation_steps=3",
          "per_device_train_batch_size=20",
          "packing=true",
          "max_length=24"};
}

TEST(Trainer, ResumedAtAnyStepItEndsBitForBitAsIfNeverStopped) {
  at::set_num_threads(1);
  const test::TempFolder temp;
  run(fixture_config("train_curve", temp / "whole", stateful()));
  const std::string whole =
      read_file(posix_file_system(), temp / "whole/final/adapter_model.safetensors");
  const auto curve = curve_of(temp / "whole");
  ASSERT_EQ(curve.size(), 7U);
  for (int step = 1; step < 7; ++step) {
    const fs::path out = temp / fmt::format("resumed-{}", step);
    fs::create_directories(out);
    fs::copy(temp / fmt::format("whole/checkpoint-{:06d}", step),
             out / fmt::format("checkpoint-{:06d}", step), fs::copy_options::recursive);
    run(fixture_config("train_curve", out, stateful()));
    EXPECT_EQ(read_file(posix_file_system(), out / "final/adapter_model.safetensors"), whole)
        << "from step " << step;
    const auto rest = curve_of(out);
    EXPECT_TRUE(std::equal(rest.begin(), rest.end(), curve.begin() + step, curve.end()))
        << "from step " << step;
  }
}

TEST(Trainer, FullFineTuningResumesBitForBit) {
  at::set_num_threads(1);
  const test::TempFolder temp;
  const std::vector<std::string> settings{"max_steps=4", "save_steps=2"};
  run(fixture_config("full_curve", temp / "whole", settings));
  fs::create_directories(temp / "resumed");
  fs::copy(temp / "whole/checkpoint-000002", temp / "resumed/checkpoint-000002",
           fs::copy_options::recursive);
  run(fixture_config("full_curve", temp / "resumed", settings));
  EXPECT_EQ(read_file(posix_file_system(), temp / "resumed/final/model.safetensors"),
            read_file(posix_file_system(), temp / "whole/final/model.safetensors"));
}

TEST(Trainer, SplittingAGlobalBatchDifferentlyChangesNoLoss) {
  const test::TempFolder temp;
  std::vector<std::vector<std::pair<double, double>>> curves;
  for (const auto& [batch, accumulation] : {std::pair{8, 1}, {4, 2}, {1, 8}}) {
    const fs::path out = temp / fmt::format("{}x{}", batch, accumulation);
    run(fixture_config("train_curve", out,
                       {"max_steps=5", fmt::format("per_device_train_batch_size={}", batch),
                        fmt::format("gradient_accumulation_steps={}", accumulation)}));
    curves.push_back(curve_of(out));
  }
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(curves[1].at(i).first, curves[0].at(i).first, 2e-5);
    EXPECT_NEAR(curves[2].at(i).first, curves[0].at(i).first, 2e-5);
  }
}

TEST(Trainer, GradientCheckpointingChangesNoBit) {
  at::set_num_threads(1);
  const test::TempFolder temp;
  for (const bool checkpointing : {false, true}) {
    run(fixture_config("train_curve", temp / fmt::format("out-{}", checkpointing),
                       {"max_steps=3", "lora_dropout=0.1",
                        fmt::format("gradient_checkpointing={}", checkpointing)}));
  }
  EXPECT_EQ(curve_of(temp / "out-true"), curve_of(temp / "out-false"));
  EXPECT_EQ(read_file(posix_file_system(), temp / "out-true/final/adapter_model.safetensors"),
            read_file(posix_file_system(), temp / "out-false/final/adapter_model.safetensors"));
}

TEST(Trainer, AnAllMaskedBatchIsNoStepAndNoNaN) {
  const test::TempFolder temp;
  // Shards made elsewhere: weft tokenize itself leaves such documents out.
  PublishedFolder shards(posix_file_system(), temp / "shards");
  const auto tokenizer = trainer::load_model_tokenizer(
      posix_file_system(), test::fixture_folder() / "model" / "tied_gqa1");
  data::Manifest manifest;
  manifest.identity = {tokenizer->sha256(), tokenizer->vocab_size(), std::string(64, '0')};
  data::ShardWriter writer(posix_file_system(), shards.path(), manifest.identity, {});
  for (int i = 0; i < 5; ++i) {
    const auto trained = static_cast<std::uint8_t>(i == 4);
    writer.add({{1, 2, 3, 4}, {0, trained, trained, trained}});
  }
  manifest.shards = writer.finish();
  data::write_manifest(posix_file_system(), shards.path(), manifest);
  shards.commit();
  trainer::RunConfig config =
      fixture_config("train_curve", temp / "out",
                     {"max_steps=5", "per_device_train_batch_size=1",
                      "gradient_accumulation_steps=1", "packing=false", "shuffle=false"});
  config.datasets = {{.path = temp / "shards"}};
  const auto initial =
      test::read_tensors(fs::path(config.adapter_name_or_path) / "adapter_model.safetensors");
  run(config);
  const auto curve = curve_of(temp / "out");
  ASSERT_EQ(curve.size(), 5U);
  for (int step = 0; step < 4; ++step) {
    EXPECT_EQ(curve.at(step), std::make_pair(0.0, 0.0)) << "step " << step + 1;
  }
  EXPECT_GT(curve.at(4).first, 0.0);
  EXPECT_TRUE(std::isfinite(curve.at(4).second));
  config.output_dir = (temp / "masked").string();
  config.max_steps = 4;
  run(config);
  const auto final = test::read_tensors(temp / "masked/final/adapter_model.safetensors");
  for (const auto& [name, tensor] : initial) {
    EXPECT_TRUE(tensor.equal(final.at(name))) << name;
  }
}

TEST(Trainer, AChangedAdapterShapeIsRefusedOnResume) {
  const test::TempFolder temp;
  const auto config = [&](std::vector<std::string> more) {
    trainer::RunConfig result = fixture_config("train_curve", temp / "out", std::move(more));
    result.adapter_name_or_path.clear();
    return result;
  };
  run(config({"max_steps=2", "save_steps=1"}));
  try {
    run(config({"max_steps=4", "save_steps=1", "lora_rank=16"}));
    FAIL() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_THAT(error.what(), HasSubstr("lora_rank"));
    EXPECT_THAT(error.what(), HasSubstr("16"));
    EXPECT_THAT(error.what(), HasSubstr("8"));
  }
}

// The fixture's first adapter with one pair so large that fp32 overflows in the forward pass.
void write_overflowing_adapter(const fs::path& folder) {
  const fs::path initial = test::fixture_folder() / "lora/train_curve/initial";
  fs::create_directories(folder);
  fs::copy_file(initial / "adapter_config.json", folder / "adapter_config.json");
  const auto tensors = test::read_tensors(initial / "adapter_model.safetensors");
  std::vector<model::TensorBytes> all;
  for (const auto& [name, tensor] : tensors) {
    if (name.find("layers.0.mlp.down_proj.lora_") != std::string::npos) {
      tensor.fill_(1e30);
    }
    all.push_back({{name, model::DType::kFloat32, tensor.sizes().vec()},
                   {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  }
  model::publish_safetensors(posix_file_system(), folder / "adapter_model.safetensors", all);
}

TEST(Trainer, ALossThatIsNotFiniteStopsTheRunAndNamesTheStep) {
  const test::TempFolder temp;
  write_overflowing_adapter(temp / "adapter");
  trainer::RunConfig config = fixture_config("train_curve", temp / "out");
  config.adapter_name_or_path = (temp / "adapter").string();
  try {
    run(config);
    FAIL() << "finished";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumerics);
    EXPECT_THAT(error.what(), HasSubstr("step 1: loss"));
    EXPECT_THAT(error.what(), HasSubstr("is not finite; nothing was updated"));
  }
  EXPECT_FALSE(fs::exists(temp / "out/final"));
}

TEST(Trainer, SkippedUpdatesAreLimited) {
  const test::TempFolder temp;
  write_overflowing_adapter(temp / "adapter");
  trainer::RunConfig config =
      fixture_config("train_curve", temp / "out", {"nonfinite=skip", "nonfinite_skip_limit=3"});
  config.adapter_name_or_path = (temp / "adapter").string();
  try {
    run(config);
    FAIL() << "finished";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumerics);
    EXPECT_THAT(error.what(), HasSubstr("step 4: loss"));
    EXPECT_THAT(error.what(), HasSubstr("nonfinite_skip_limit is 3"));
  }
}

// Names of the operators by which a host waits for a GPU's numbers, as LibTorch dispatches them.
std::atomic<std::int64_t> scalar_reads = 0;

std::unique_ptr<at::ObserverContext> count_scalar_reads(const at::RecordFunction& function) {
  const std::string_view name = function.name();
  for (const std::string_view waits : {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal",
                                       "aten::masked_select", "aten::unique_dim"}) {
    scalar_reads += name == waits ? 1 : 0;
  }
  return nullptr;
}

TEST(Trainer, AStepOfOneRankReadsOneTimeFromTheDevice) {
  const test::TempFolder temp;
  trainer::Trainer trainer(posix_file_system(),
                           fixture_config("train_curve", temp / "out",
                                          {"max_steps=4", "save_strategy=no", "num_threads=1",
                                           "max_grad_norm=0.1", "gradient_accumulation_steps=2"}));
  const std::int64_t before = kernels::host_reads();
  scalar_reads = 0;
  const auto handle = at::addGlobalCallback(
      at::RecordFunctionCallback(count_scalar_reads).scopes({at::RecordScope::FUNCTION}));
  (void)at::zeros({1}).item<float>();
  EXPECT_EQ(scalar_reads, 1) << "the count sees what it should";
  trainer.run();
  at::removeCallback(handle);
  EXPECT_EQ(kernels::host_reads() - before, 4);
  EXPECT_EQ(scalar_reads, 1);
}

TEST(Trainer, ASkippedUpdateLeavesWeightsMomentsAndTheirCountAlone) {
  const test::TempFolder temp;
  write_overflowing_adapter(temp / "adapter");
  trainer::RunConfig config =
      fixture_config("train_curve", temp / "out",
                     {"nonfinite=skip", "nonfinite_skip_limit=5", "max_steps=2", "num_threads=1"});
  config.adapter_name_or_path = (temp / "adapter").string();
  run(config);
  const auto trained = test::read_tensors(temp / "out/final/adapter_model.safetensors");
  for (const auto& [name, tensor] :
       test::read_tensors(temp / "adapter/adapter_model.safetensors")) {
    EXPECT_TRUE(tensor.equal(trained.at(name))) << name;
  }
  const fs::path checkpoint = temp / "out/checkpoint-000002";
  const auto optimizer = test::read_tensors(checkpoint / "optimizer.safetensors");
  for (const char* moment : {"moment1", "moment2"}) {
    EXPECT_EQ(optimizer.at(moment).count_nonzero().item<std::int64_t>(), 0) << moment;
  }
  const Json state = read_json(posix_file_system(), checkpoint / "trainer_state.json").at("weft");
  EXPECT_EQ(state.at("counters").at("updates").get<std::int64_t>(), 0);
  EXPECT_EQ(state.at("skipped_updates").get<std::int64_t>(), 2);
}

TEST(Trainer, ALengthBeyondTheModelsPositionsIsRefused) {
  const test::TempFolder temp;
  try {
    run(fixture_config("train_curve", temp / "out", {"max_length=100000"}));
    FAIL() << "taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_THAT(error.what(), HasSubstr("max_length is 100000"));
  }
}

}  // namespace
}  // namespace weft
