#include "model/qwen3_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "model/generation_config.h"
#include "model/presets.h"
#include "tests/model/files_test_support.h"

namespace weft::model {
namespace {

using test::TempFolder;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::write_text;

/// Qwen3-0.6B's file as published.
constexpr std::string_view kPublished = R"({
  "architectures": ["Qwen3ForCausalLM"],
  "attention_bias": false,
  "attention_dropout": 0.0,
  "bos_token_id": 151643,
  "eos_token_id": 151645,
  "head_dim": 128,
  "hidden_act": "silu",
  "hidden_size": 1024,
  "initializer_range": 0.02,
  "intermediate_size": 3072,
  "max_position_embeddings": 40960,
  "max_window_layers": 28,
  "model_type": "qwen3",
  "num_attention_heads": 16,
  "num_hidden_layers": 28,
  "num_key_value_heads": 8,
  "rms_norm_eps": 1e-06,
  "rope_scaling": null,
  "rope_theta": 1000000,
  "sliding_window": null,
  "tie_word_embeddings": true,
  "torch_dtype": "bfloat16",
  "transformers_version": "4.51.0",
  "use_cache": true,
  "use_sliding_window": false,
  "vocab_size": 151936
})";

Json published() { return parse_json(kPublished, "config.json"); }

Qwen3Config parse(const Json& json) { return parse_qwen3_config(json, "config.json"); }

/// The message for the published config with one member replaced.
std::string refused(const std::string& key, const Json& value) {
  Json json = published();
  json[key] = value;
  const std::string message = error_of([&] { static_cast<void>(parse(json)); });
  EXPECT_THAT(message, HasSubstr("config.json"));
  return message;
}

/// The published config as transformers 5 writes it.
Json modern() {
  Json json = published();
  json.erase("torch_dtype");
  json.erase("rope_theta");
  json.erase("rope_scaling");
  json["dtype"] = "bfloat16";
  json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 1000000}};
  json["layer_types"] = std::vector<std::string>(28, "full_attention");
  return json;
}

Json yarn() {
  return {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}};
}

TEST(Qwen3Config, ReadsThePublishedFile) {
  const Qwen3Config config = parse(published());
  EXPECT_EQ(config.hidden_size, 1024);
  EXPECT_EQ(config.intermediate_size, 3072);
  EXPECT_EQ(config.num_hidden_layers, 28);
  EXPECT_EQ(config.num_attention_heads, 16);
  EXPECT_EQ(config.num_key_value_heads, 8);
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.vocab_size, 151936);
  EXPECT_EQ(config.max_position_embeddings, 40960);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.rope_theta, 1e6);
  EXPECT_FALSE(config.yarn.has_value());
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(151645));
  EXPECT_EQ(config.dtype, DType::kBFloat16);
  EXPECT_EQ(config.parameter_count(), 596'049'920);
}

TEST(Qwen3Config, BothSpellingsGiveTheSameConfig) {
  EXPECT_EQ(parse(modern()), parse(published()));
  Json both = modern();
  both["torch_dtype"] = "bfloat16";
  both["rope_theta"] = 1e6;
  both["rope_scaling"] = nullptr;
  EXPECT_EQ(parse(both), parse(published()));
}

TEST(Qwen3Config, SpellingsThatContradictAreRefused) {
  Json json = modern();
  json["torch_dtype"] = "float32";
  EXPECT_THAT(error_of([&] { static_cast<void>(parse(json)); }),
              HasSubstr("'torch_dtype' is float32 but 'dtype' is bfloat16"));
  json = modern();
  json["rope_theta"] = 10000;
  EXPECT_THAT(error_of([&] { static_cast<void>(parse(json)); }),
              HasSubstr("'rope_theta' is 10000 but 'rope_parameters' says 1000000"));
  json = modern();
  json["rope_scaling"] = yarn();
  EXPECT_THAT(error_of([&] { static_cast<void>(parse(json)); }),
              HasSubstr("describe different scalings"));
  json = published();
  json["rope_scaling"] = yarn();
  json["rope_scaling"]["type"] = "linear";
  EXPECT_THAT(error_of([&] { static_cast<void>(parse(json)); }),
              HasSubstr("'rope_type' is 'yarn' but 'type' is 'linear'"));
}

TEST(Qwen3Config, ReadsYarn) {
  Json json = published();
  json["rope_scaling"] = yarn();
  const Qwen3Config config = parse(json);
  ASSERT_TRUE(config.yarn.has_value());
  EXPECT_EQ(config.yarn->factor, 4.0);
  EXPECT_EQ(config.yarn->original_max_position_embeddings, 32768);
  EXPECT_EQ(config.yarn->beta_fast, 32.0);
  EXPECT_EQ(config.yarn->beta_slow, 1.0);
  EXPECT_DOUBLE_EQ(config.yarn->cos_sin_scale(), 0.1 * std::log(4.0) + 1.0);

  Json parameters = yarn();
  parameters["rope_theta"] = 1000000;
  json = modern();
  json["rope_parameters"] = parameters;
  EXPECT_EQ(parse(json), config);

  json = published();
  json["rope_scaling"] = yarn();
  json["rope_scaling"]["attention_factor"] = 1.5;
  EXPECT_EQ(parse(json).yarn->cos_sin_scale(), 1.5);
}

TEST(Qwen3Config, RefusesOtherRopes) {
  EXPECT_THAT(refused("rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}),
              HasSubstr("the RoPE type 'llama3' is not supported"));
  EXPECT_THAT(refused("rope_scaling", {{"type", "dynamic"}, {"factor", 8.0}}),
              HasSubstr("the RoPE type 'dynamic'"));
  EXPECT_THAT(refused("rope_scaling", "yarn"), HasSubstr("must be an object or null"));
  EXPECT_THAT(refused("rope_scaling", {{"rope_type", "yarn"}}), HasSubstr("factor"));
  EXPECT_THAT(refused("rope_scaling", {{"rope_type", "yarn"}, {"factor", 0.5}}),
              HasSubstr("'factor' is 0.5"));
  Json json = yarn();
  json["mscale"] = 0.7;
  EXPECT_THAT(refused("rope_scaling", json), HasSubstr("option 'mscale' of YaRN"));
  json = yarn();
  json["truncate"] = false;
  EXPECT_THAT(refused("rope_scaling", json), HasSubstr("'truncate' is false"));
  json = published();
  json.erase("rope_theta");
  EXPECT_THAT(error_of([&] { static_cast<void>(parse(json)); }),
              HasSubstr("has neither 'rope_theta'"));
  EXPECT_THAT(refused("rope_theta", -1.0), HasSubstr("'rope_theta' is -1"));
}

TEST(Qwen3Config, RefusesOtherArchitecturesByName) {
  EXPECT_THAT(refused("model_type", "llama"),
              AllOf(HasSubstr("model_type 'llama'"), HasSubstr("Qwen3ForCausalLM")));
  EXPECT_THAT(refused("model_type", "qwen3_next"), HasSubstr("model_type 'qwen3_next'"));
  EXPECT_THAT(refused("architectures", Json::array({"Qwen3ForSequenceClassification"})),
              HasSubstr("architectures [Qwen3ForSequenceClassification]"));
  EXPECT_THAT(refused("model_type", "qwen3_moe"),
              HasSubstr("mixture-of-experts models are not supported yet by this version"));
  Json json = published();
  json.erase("model_type");
  EXPECT_THAT(error_of([&] { static_cast<void>(parse(json)); }), HasSubstr("model_type"));
  EXPECT_THAT(error_of([&] { static_cast<void>(parse(Json::array())); }),
              HasSubstr("must hold a JSON object"));
}

TEST(Qwen3Config, RefusesOptionsThatItDoesNotCompute) {
  EXPECT_THAT(refused("attention_bias", true), HasSubstr("'attention_bias' is true"));
  EXPECT_THAT(refused("hidden_act", "gelu"), HasSubstr("'hidden_act' is 'gelu'"));
  EXPECT_THAT(refused("attention_dropout", 0.1), HasSubstr("'attention_dropout' is 0.1"));
  Json json = published();
  json["use_sliding_window"] = true;
  EXPECT_NO_THROW(static_cast<void>(parse(json)));  // without a window there is nothing to slide
  json["sliding_window"] = 4096;
  EXPECT_THAT(error_of([&] { static_cast<void>(parse(json)); }),
              HasSubstr("sliding-window attention is not supported"));
  EXPECT_THAT(refused("quantization_config", {{"quant_method", "fp8"}}),
              AllOf(HasSubstr("quantised"), HasSubstr("fp8")));
  EXPECT_THAT(refused("layer_types", Json::array({"full_attention"})), HasSubstr("28 names"));
  std::vector<std::string> types(28, "full_attention");
  types[3] = "sliding_attention";
  EXPECT_THAT(refused("layer_types", types),
              AllOf(HasSubstr("sliding_attention"), HasSubstr("layer 3")));
}

TEST(Qwen3Config, ChecksSizes) {
  EXPECT_THAT(refused("hidden_size", 0), HasSubstr("'hidden_size' is 0"));
  EXPECT_THAT(refused("hidden_size", -8), HasSubstr("'hidden_size' is -8"));
  EXPECT_THAT(refused("hidden_size", std::int64_t{1} << 40), HasSubstr("between 1 and"));
  EXPECT_THAT(refused("num_hidden_layers", 1.5), HasSubstr("num_hidden_layers"));
  EXPECT_THAT(refused("vocab_size", "151936"), HasSubstr("vocab_size"));
  EXPECT_THAT(refused("vocab_size", nullptr), HasSubstr("vocab_size"));
  EXPECT_THAT(refused("num_key_value_heads", 5),
              HasSubstr("'num_attention_heads' 16 is not a multiple of 'num_key_value_heads' 5"));
  EXPECT_THAT(refused("head_dim", 127), HasSubstr("'head_dim' is 127; it must be even"));
  EXPECT_THAT(refused("rms_norm_eps", 0.0), HasSubstr("'rms_norm_eps' is 0"));
  EXPECT_THAT(refused("initializer_range", -0.1), HasSubstr("'initializer_range' is -0.1"));
  EXPECT_THAT(refused("torch_dtype", "int8"), HasSubstr("'torch_dtype' is 'int8'"));
  EXPECT_THAT(refused("eos_token_id", 151936), HasSubstr("outside the vocabulary of 151936"));
  EXPECT_THAT(refused("eos_token_id", Json::array({1, -2})), HasSubstr("holds -2"));
}

TEST(Qwen3Config, HeadDimIsNeverDerived) {
  Json json = published();
  json.erase("head_dim");
  EXPECT_EQ(parse(json).head_dim, 128);  // 1024 / 16 would be 64
}

TEST(Qwen3Config, WritesWhatItReads) {
  for (const std::string& name : preset_names()) {
    const Qwen3Config config = preset_config(name);
    EXPECT_EQ(parse(qwen3_config_to_json(config)), config) << name;
  }
  Json json = published();
  json["rope_scaling"] = yarn();
  json["eos_token_id"] = Json::array({151645, 151643});
  json["pad_token_id"] = 151643;
  const Qwen3Config config = parse(json);
  EXPECT_EQ(parse(qwen3_config_to_json(config)), config);
}

TEST(Qwen3Config, WritesThePublishedKeys) {
  Json written = qwen3_config_to_json(parse(published()));
  written.erase("pad_token_id");
  std::vector<std::string> keys;
  for (const auto& [key, value] : written.items()) keys.push_back(key);
  std::vector<std::string> expected;
  const Json source = published();
  for (const auto& [key, value] : source.items()) {
    expected.push_back(key);
    EXPECT_EQ(written[key], value) << key;
  }
  EXPECT_EQ(keys, expected);
}

TEST(Qwen3Config, ReadsAFolder) {
  TempFolder folder;
  FileSystem& files = posix_file_system();
  EXPECT_THAT(error_of([&] { static_cast<void>(read_qwen3_config(files, folder.path() / "no")); }),
              HasSubstr("is not a folder"));
  EXPECT_THAT(error_of([&] { static_cast<void>(read_qwen3_config(files, folder.path())); }),
              HasSubstr("config.json"));
  write_text(folder.path() / "config.json", kPublished);
  EXPECT_EQ(read_qwen3_config(files, folder.path()), parse(published()));
  write_text(folder.path() / "config.json", kPublished.substr(0, 100));
  EXPECT_THAT(error_of([&] { static_cast<void>(read_qwen3_config(files, folder.path())); }),
              HasSubstr("config.json"));
}

TEST(GenerationConfig, ReadsTheFile) {
  TempFolder folder;
  const Qwen3Config config = parse(published());
  GenerationConfig absent = read_generation_config(posix_file_system(), folder.path(), config);
  EXPECT_THAT(absent.eos_token_ids, ElementsAre(151645));
  EXPECT_FALSE(absent.temperature.has_value());

  write_text(folder.path() / "generation_config.json",
             R"({"bos_token_id": 151643, "do_sample": true, "eos_token_id": [151645, 151643],
                 "pad_token_id": 151643, "temperature": 0.6, "top_k": 20, "top_p": 0.95})");
  const GenerationConfig read = read_generation_config(posix_file_system(), folder.path(), config);
  EXPECT_THAT(read.eos_token_ids, ElementsAre(151645, 151643));
  EXPECT_EQ(read.pad_token_id, 151643);
  EXPECT_EQ(read.do_sample, true);
  EXPECT_EQ(read.temperature, 0.6);
  EXPECT_EQ(read.top_p, 0.95);
  EXPECT_EQ(read.top_k, 20);
  EXPECT_FALSE(read.min_p.has_value());
}

TEST(GenerationConfig, RefusesValuesOutOfRange) {
  const Qwen3Config config = parse(published());
  const auto message = [&](const Json& json) {
    return error_of([&] { static_cast<void>(parse_generation_config(json, "g.json", config)); });
  };
  EXPECT_THAT(message({{"temperature", -1.0}}), HasSubstr("g.json: 'temperature' is -1"));
  EXPECT_THAT(message({{"top_p", 1.5}}), HasSubstr("'top_p' is 1.5"));
  EXPECT_THAT(message({{"top_k", -1}}), HasSubstr("'top_k' is -1"));
  EXPECT_THAT(message({{"eos_token_id", 200000}}), HasSubstr("outside the vocabulary"));
  EXPECT_THAT(message({{"eos_token_id", "x"}}), HasSubstr("eos_token_id"));
  EXPECT_THAT(message(Json::array()), HasSubstr("must hold a JSON object"));
}

TEST(Presets, HaveThePublishedSizes) {
  const auto parameters = [](std::string_view name) {
    return preset_config(name).parameter_count();
  };
  EXPECT_EQ(parameters("0.6b"), 596'049'920);
  EXPECT_EQ(parameters("1.7b"), 1'720'574'976);
  EXPECT_EQ(parameters("4b"), 4'022'468'096);
  EXPECT_EQ(parameters("8b"), 8'190'735'360);
  EXPECT_EQ(parameters("14b"), 14'768'307'200);
  EXPECT_EQ(parameters("32b"), 32'762'123'264);
}

TEST(Presets, TinyTakesAVocabulary) {
  const Qwen3Config config = preset_config("tiny", 1000);
  EXPECT_EQ(config.vocab_size, 1000);
  EXPECT_EQ(config.hidden_size, 128);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_TRUE(config.eos_token_ids.empty());
  EXPECT_THAT(preset_config("tiny").eos_token_ids, ElementsAre(151645));
}

TEST(Presets, UnknownNamesAndExpertsAreRefused) {
  const auto message = [](std::string_view name) {
    return error_of([&] { static_cast<void>(preset_config(name)); }, ErrorKind::kConfig);
  };
  EXPECT_THAT(message("7b"), AllOf(HasSubstr("no preset '7b'"), HasSubstr("0.6b, 1.7b")));
  EXPECT_THAT(message("30b-a3b"), HasSubstr("mixture-of-experts"));
}

TEST(Presets, OverridesAreCheckedAsAFileIs) {
  const Qwen3Config base = preset_config("tiny", 1000);
  const Qwen3Config config = override_config(
      base, {"num_hidden_layers=2", "torch_dtype=float32", "eos_token_id=[1,2]",
             R"(rope_scaling={"rope_type":"yarn","factor":4.0})", "tie_word_embeddings=false"});
  EXPECT_EQ(config.num_hidden_layers, 2);
  EXPECT_EQ(config.dtype, DType::kFloat32);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(1, 2));
  EXPECT_EQ(config.yarn->factor, 4.0);
  EXPECT_FALSE(config.tie_word_embeddings);

  const auto message = [&](const std::string& assignment) {
    return error_of([&] { static_cast<void>(override_config(base, {assignment})); },
                    ErrorKind::kConfig);
  };
  EXPECT_THAT(message("num_hidden_layer=2"), HasSubstr("did you mean 'num_hidden_layers'?"));
  EXPECT_THAT(message("num_hidden_layers"), HasSubstr("not of the form key=value"));
  EXPECT_THAT(message("num_hidden_layers=0"), HasSubstr("'num_hidden_layers' is 0"));
  EXPECT_THAT(message("num_hidden_layers=[1"), HasSubstr("num_hidden_layers=[1"));
  EXPECT_THAT(message("head_dim=two"), HasSubstr("head_dim"));
}

}  // namespace
}  // namespace weft::model
