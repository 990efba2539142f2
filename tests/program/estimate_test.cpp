// weft estimate: what it prints, and that it needs nothing but config.json.

#include "base/json.h"
#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> estimate_command(const std::vector<std::string>& more) {
  const TempFolder nothing;
  std::vector<std::string> arguments = train_arguments(nothing / "out", more);
  arguments.front() = "estimate";
  return arguments;
}

Json estimate(std::vector<std::string> more) {
  std::vector<std::string> arguments = estimate_command(more);
  arguments.emplace_back("--json");
  const ProcessResult result = weft(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return parse_json(result.out, "estimate");
}

TEST(Estimate, TheTableHasBothVariants) {
  const ProcessResult result = weft(estimate_command({}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"LoRA on CPU in fp32", "weights", "activations", "total", "available",
                           "largest per_device_train_batch_size", "gradient_checkpointing"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
}

TEST(Estimate, CheckpointingKeepsLessAndTheTotalIsTheSum) {
  const Json json = estimate({});
  for (const char* variant : {"plain", "gradient_checkpointing"}) {
    const Json& plan = json.at(variant);
    EXPECT_EQ(plan.at("total").get<std::int64_t>(), plan.at("weights").get<std::int64_t>() +
                                                        plan.at("trained").get<std::int64_t>() +
                                                        plan.at("activations").get<std::int64_t>() +
                                                        plan.at("workspace").get<std::int64_t>());
  }
  EXPECT_LE(json.at("gradient_checkpointing").at("activations").get<std::int64_t>(),
            json.at("plain").at("activations").get<std::int64_t>());
}

TEST(Estimate, NeedsOnlyTheModelsConfig) {
  const TempFolder temp;
  put(temp / "model/config.json", content(tiny_model() / "config.json"));
  const Json json = estimate({"model_name_or_path=" + (temp / "model").string(),
                              "adapter_name_or_path=''", "device=cuda", "dtype=bf16"});
  // 2 bytes for each of the model's parameters.
  EXPECT_EQ(json.at("plain").at("weights").get<std::int64_t>() % 2, 0);
  EXPECT_GT(json.at("plain").at("weights").get<std::int64_t>(), 100000);
  EXPECT_LT(json.at("plain").at("weights").get<std::int64_t>(), 200000);
}

TEST(Estimate, FitsIntoTheMemoryThatIsGiven) {
  std::vector<std::string> arguments = estimate_command({});
  arguments.insert(arguments.end(), {"--json", "--memory", "0.1"});
  const ProcessResult result = weft(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "estimate");
  EXPECT_EQ(json.at("available").get<std::int64_t>(), 107374182);
  EXPECT_GT(json.at("plain").at("largest_batch").get<std::int64_t>(), 0);
  EXPECT_LT(json.at("plain").at("largest_batch").get<std::int64_t>(),
            json.at("gradient_checkpointing").at("largest_batch").get<std::int64_t>());
}

TEST(Estimate, ASharedBaseTakesLessOnEachOfMoreRanks) {
  const std::string model = "model_name_or_path=" + (fixtures() / "model/wide_head").string();
  const auto weights = [&](const std::string& sharing, const std::string& ranks) {
    return estimate({model, "adapter_name_or_path=''", sharing, "--ranks", ranks})
        .at("plain")
        .at("weights")
        .get<std::int64_t>();
  };
  // 18,144 numbers in each of three layers' matrices, of which eight ranks keep 2,272 each, filled
  // up to 64 bytes, and two layers whole.
  const std::int64_t whole = weights("shard_base=none", "8");
  EXPECT_EQ(weights("shard_base=world", "1"), whole);
  EXPECT_EQ(weights("shard_base=world", "8"), whole - 4 * (3 * 18144 - 3 * 2272 - 2 * 8 * 2272));
  std::vector<std::string> arguments = estimate_command({"shard_base=node", "--ranks", "8"});
  EXPECT_THAT(weft(arguments).out, HasSubstr("On each of the 8 ranks that share the base"));
}

TEST(Estimate, ASharedMicroBatchTakesLessOnEachRank) {
  const auto plan = [](const std::string& sharing) {
    return estimate({"max_length=2048", sharing, "--memory", "0.001"}).at("plain");
  };
  const Json alone = plan("context_parallel_size=1");
  const Json shared = plan("context_parallel_size=4");
  EXPECT_EQ(shared.at("weights"), alone.at("weights"));
  EXPECT_LT(shared.at("activations").get<double>(), 0.3 * alone.at("activations").get<double>());
  EXPECT_THAT(weft(estimate_command({"context_parallel_size=4"})).out,
              HasSubstr("On each of the 4 ranks that share a micro-batch"));
}

TEST(Estimate, MemoryThatIsNoNumberIsRefused) {
  std::vector<std::string> arguments = estimate_command({});
  arguments.insert(arguments.end(), {"--memory", "much"});
  expect_refused(weft(arguments), 2, {"--memory much", "GiB"});
}

}  // namespace
}  // namespace weft::test
