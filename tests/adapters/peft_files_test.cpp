#include "adapters/peft_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "base/json.h"
#include "model/safetensors.h"
#include "tests/model/fixture.h"
#include "tests/support/failing_file_system.h"
#include "tests/support/temp_folder.h"

namespace weft {
namespace {

using ::testing::HasSubstr;

const char* const kModel = "tied_gqa1";

fs::path source() { return test::fixture_folder() / "lora" / kModel; }

model::Qwen3Config config() {
  return model::read_qwen3_config(posix_file_system(), test::fixture_folder() / "model" / kModel);
}

adapters::LoraAdapters read(const fs::path& folder) {
  return adapters::read_peft_adapter(posix_file_system(), folder, config(), at::kFloat, at::kCPU);
}

// A copy of the fixture's adapter whose config was changed.
void copy_with(const fs::path& to, const std::function<void(Json&)>& change) {
  fs::create_directories(to);
  fs::copy_file(source() / "adapter_model.safetensors", to / "adapter_model.safetensors");
  Json json = read_json(posix_file_system(), source() / "adapter_config.json");
  change(json);
  publish_file(posix_file_system(), to / "adapter_config.json", dump_json_pretty(json));
}

std::string error_of(const fs::path& folder) {
  try {
    (void)read(folder);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kData);
    return error.what();
  }
  return "taken";
}

TEST(PeftFiles, WritingWhatWasReadGivesPeftsMatricesBitForBit) {
  const test::TempFolder temp;
  const auto adapters = read(source());
  fs::create_directories(temp / "out");
  adapters::write_peft_adapter(posix_file_system(), temp / "out", adapters);
  EXPECT_EQ(read_file(posix_file_system(), temp / "out/adapter_model.safetensors"),
            read_file(posix_file_system(), source() / "adapter_model.safetensors"));
  const Json theirs = read_json(posix_file_system(), source() / "adapter_config.json");
  const Json ours = read_json(posix_file_system(), temp / "out/adapter_config.json");
  for (const char* key :
       {"r", "lora_alpha", "peft_type", "task_type", "bias", "use_rslora", "use_dora"}) {
    EXPECT_EQ(ours.at(key), theirs.at(key)) << key;
  }
}

TEST(PeftFiles, ConfigsThatMeanSomethingElseAreRefused) {
  const test::TempFolder temp;
  const std::vector<std::pair<std::function<void(Json&)>, std::string>> cases = {
      {[](Json& json) { json["peft_type"] = "IA3"; }, "peft_type is 'IA3', expected 'LORA'"},
      {[](Json& json) { json["use_dora"] = true; },
       "'use_dora' is set, which weft does not support"},
      {[](Json& json) { json["modules_to_save"] = {"lm_head"}; }, "'modules_to_save' is set"},
      {[](Json& json) { json["bias"] = "all"; }, "'bias' is \"all\", only \"none\" is supported"},
      {[](Json& json) { json["lora_alpha"] = "16"; },
       "'lora_alpha' is \"16\", expected a finite number"},
      {[](Json& json) { json["r"] = 0; }, "rank is 0, expected 1 to"},
      {[](Json& json) { json["r"] = 7; },
       "expected [7, 48] for this base and the rank in adapter_config.json"},
      {[](Json& json) { json["init_lora_weights"] = "pissa"; }, "which changed the base weights"},
      {[](Json& json) {
         json["rank_pattern"] = {{"(", 4}};
       },
       "is not a regular expression"},
  };
  int number = 0;
  for (const auto& [change, message] : cases) {
    const fs::path folder = temp / std::to_string(number++);
    copy_with(folder, change);
    EXPECT_THAT(error_of(folder), HasSubstr(message));
  }
}

TEST(PeftFiles, AnAdapterForAnotherBaseNamesItsTensors) {
  try {
    const auto other = model::read_qwen3_config(posix_file_system(),
                                                test::fixture_folder() / "model" / "one_layer");
    (void)adapters::read_peft_adapter(posix_file_system(), source(), other, at::kFloat, at::kCPU);
    FAIL() << "taken";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("is it an adapter for another base?"));
    EXPECT_THAT(error.what(), HasSubstr("layers.1."));
  }
}

TEST(PeftFiles, HalfAPairIsNamed) {
  const test::TempFolder temp;
  copy_with(temp / "half", [](Json&) {});
  const auto tensors = test::read_tensors(source() / "adapter_model.safetensors");
  std::vector<model::TensorBytes> kept;
  for (const auto& [name, tensor] : tensors) {
    if (name.find("layers.0.self_attn.k_proj.lora_B") == std::string::npos) {
      kept.push_back({{name, model::DType::kFloat32, tensor.sizes().vec()},
                      {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
    }
  }
  model::publish_safetensors(posix_file_system(), temp / "half/adapter_model.safetensors", kept);
  EXPECT_THAT(error_of(temp / "half"), HasSubstr("model.layers.0.self_attn.k_proj has no lora_B"));
}

TEST(PeftFiles, APickleIsNotLoaded) {
  const test::TempFolder temp;
  copy_with(temp / "bin", [](Json&) {});
  fs::rename(temp / "bin/adapter_model.safetensors", temp / "bin/adapter_model.bin");
  EXPECT_THAT(error_of(temp / "bin"), HasSubstr("a pickle that can run code"));
}

TEST(PeftFiles, AFolderWithoutAConfigIsNoAdapter) {
  const test::TempFolder temp;
  EXPECT_THAT(error_of(temp.path()), HasSubstr("has no adapter_config.json"));
}

}  // namespace
}  // namespace weft
