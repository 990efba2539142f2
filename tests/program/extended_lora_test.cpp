// weft train with base and adapters in one product: from the outside it is the same run.

#include "tests/program/program_testing.h"

namespace weft::test {
namespace {

double last_loss(const fs::path& out, const std::string& form) {
  const ProcessResult result = weft(train_arguments(out, {"lora_gemm=" + form}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(fs::exists(out / "final/adapter_model.safetensors"));
  EXPECT_THAT(content(out / "config.yaml"), ::testing::HasSubstr("lora_gemm: " + form));
  const std::string lines = content(out / "metrics.jsonl");
  const std::string key = "\"loss\":";
  const std::size_t last = lines.rfind(key);
  EXPECT_NE(last, std::string::npos);
  return std::stod(lines.substr(last + key.size()));
}

TEST(ExtendedLora, TrainsAsThePlainForm) {
  const TempFolder temp;
  EXPECT_NEAR(last_loss(temp / "extended", "extended"), last_loss(temp / "plain", "plain"), 1e-5);
}

TEST(ExtendedLora, WhatItCanNotBeIsRefusedBeforeAnythingIsLoaded) {
  const TempFolder temp;
  expect_refused(weft(train_arguments(temp / "out", {"lora_gemm=extended", "lora_dropout=0.1"})), 2,
                 {"lora_gemm: extended", "lora_dropout: 0.1", "set lora_gemm: plain"});
  EXPECT_FALSE(fs::exists(temp / "out"));
}

}  // namespace
}  // namespace weft::test
