#include "base/schema.h"

#include <gmock/gmock.h>

#include <limits>

#include "base/yaml_scalar.h"
#include "tests/support/caught.h"

namespace weft {
namespace {

using test::caught;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Config {
  std::int64_t rank = 32;
  double rate = 1e-4;
  double dropout = 0;
  bool packing = true;
  std::string output = "runs/first";
  std::string scheduler = "cosine";
  std::vector<std::string> targets = {"q_proj", "v_proj"};
  std::optional<std::int64_t> max_steps;
  std::optional<double> clip = 1.0;
};

class SchemaTest : public ::testing::Test {
 protected:
  SchemaTest() { bind(schema_, config_); }

  static void bind(Schema& schema, Config& config) {
    schema.add_int("lora_rank", &config.rank, {1, 1024}, "rank of the update").aliases = {"lora_r",
                                                                                          "r"};
    schema.add_number("learning_rate", &config.rate, {0, kUnbounded, true}, "step size");
    schema.add_number("lora_dropout", &config.dropout, {0, 1}, "share of inputs dropped");
    schema.add_bool("packing", &config.packing, "fill rows with several documents");
    schema.add_string("output_dir", &config.output, "where results go");
    schema.add_choice("lr_scheduler_type", &config.scheduler, {"linear", "cosine", "constant"},
                      "shape of the schedule");
    schema.add_strings("lora_target", &config.targets, "layers");
    schema.add_optional_int("max_steps", &config.max_steps, {1, kUnbounded}, "stop here");
    schema.add_optional_number("max_grad_norm", &config.clip, {0, kUnbounded, true}, "clip");
  }

  void read(std::string_view yaml) { schema_.read(parse_yaml(yaml, "run.yaml"), "run.yaml"); }

  std::string problems(std::string_view yaml) {
    const Error error = caught([&] { read(yaml); });
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return error.what();
  }

  Config config_;
  Schema schema_;
};

TEST_F(SchemaTest, ReadsEveryType) {
  read(
      "lora_rank: 8\nlearning_rate: 2e-4\nlora_dropout: 1\npacking: false\noutput_dir: runs/b\n"
      "lr_scheduler_type: linear\nlora_target: [o_proj]\nmax_steps: 7\nmax_grad_norm: null\n");
  EXPECT_EQ(config_.rank, 8);
  EXPECT_EQ(config_.rate, 2e-4);
  EXPECT_EQ(config_.dropout, 1.0);
  EXPECT_FALSE(config_.packing);
  EXPECT_EQ(config_.output, "runs/b");
  EXPECT_EQ(config_.scheduler, "linear");
  EXPECT_THAT(config_.targets, ElementsAre("o_proj"));
  EXPECT_EQ(config_.max_steps, 7);
  EXPECT_EQ(config_.clip, std::nullopt);
}

TEST_F(SchemaTest, KeysNotSetKeepTheirValues) {
  read("lora_rank: 8\n");
  EXPECT_EQ(config_.rate, 1e-4);
  EXPECT_TRUE(schema_.was_set("lora_rank"));
  EXPECT_FALSE(schema_.was_set("learning_rate"));
  read("");
  EXPECT_EQ(config_.rank, 8);
}

TEST_F(SchemaTest, WrongTypesAreToldApart) {
  EXPECT_EQ(problems("lora_rank: many\n"),
            "run.yaml:1: lora_rank: must be an integer, found \"many\"");
  EXPECT_EQ(problems("lora_rank: \"8\"\n"),
            "run.yaml:1: lora_rank: must be an integer, found the quoted string \"8\"");
  EXPECT_EQ(problems("lora_rank: 8.0\n"),
            "run.yaml:1: lora_rank: must be an integer, found \"8.0\"");
  EXPECT_EQ(problems("lora_rank:\n"), "run.yaml:1: lora_rank: must be an integer, found nothing");
  EXPECT_EQ(problems("learning_rate: [1]\n"),
            "run.yaml:1: learning_rate: must be a number, found a list");
  EXPECT_EQ(problems("packing: yes\n"),
            "run.yaml:1: packing: must be true or false, found \"yes\"");
  EXPECT_EQ(problems("output_dir: {a: 1}\n"),
            "run.yaml:1: output_dir: must be a string, found a map");
  EXPECT_EQ(problems("output_dir:\n"), "run.yaml:1: output_dir: must be a string, found nothing");
  EXPECT_EQ(problems("lora_target: q_proj\n"),
            "run.yaml:1: lora_target: must be a list of strings, found \"q_proj\"");
  EXPECT_EQ(problems("lora_target: [[q]]\n"),
            "run.yaml:1: lora_target: must be a list of strings, but holds a list");
  EXPECT_EQ(problems("max_steps: soon\n"),
            "run.yaml:1: max_steps: must be an integer, found \"soon\"");
  EXPECT_EQ(problems("max_grad_norm: x\n"),
            "run.yaml:1: max_grad_norm: must be a number, found \"x\"");
}

TEST_F(SchemaTest, RangesAreChecked) {
  EXPECT_EQ(problems("lora_rank: 0\n"),
            "run.yaml:1: lora_rank: must be at least 1 and at most 1024, found 0");
  EXPECT_THAT(problems("lora_rank: 1025\n"), HasSubstr("found 1025"));
  EXPECT_EQ(problems("learning_rate: 0\n"), "run.yaml:1: learning_rate: must be above 0, found 0");
  EXPECT_THAT(problems("lora_dropout: 1.01\n"), HasSubstr("at most 1, found 1.01"));
  EXPECT_EQ(problems("max_steps: 0\n"), "run.yaml:1: max_steps: must be at least 1, found 0");
  EXPECT_THAT(problems("max_grad_norm: -1\n"), HasSubstr("must be above 0, found -1"));
  EXPECT_NO_THROW(read("lora_rank: 1024\nlora_dropout: 0\n"));
}

TEST_F(SchemaTest, ChoicesAreListedWithTheNearest) {
  EXPECT_EQ(problems("lr_scheduler_type: cosin\n"),
            "run.yaml:1: lr_scheduler_type: must be one of linear, cosine, constant; found "
            "\"cosin\"; did you mean cosine?");
  EXPECT_EQ(problems("lr_scheduler_type: 3\n"),
            "run.yaml:1: lr_scheduler_type: must be one of linear, cosine, constant; found \"3\"");
}

TEST_F(SchemaTest, UnknownKeysAreAnsweredWithTheNearest) {
  EXPECT_EQ(problems("learning_rat: 1\n"),
            "run.yaml:1: learning_rat: unknown key; did you mean learning_rate?");
  EXPECT_EQ(problems("lora_R: 1\n"), "run.yaml:1: lora_R: unknown key; did you mean lora_r?");
  EXPECT_EQ(problems("tokenizer_mode_for_images: 1\n"),
            "run.yaml:1: tokenizer_mode_for_images: unknown key; see the list of keys in the "
            "documentation");
}

TEST_F(SchemaTest, AllProblemsAreReportedTogetherAndInOrder) {
  EXPECT_EQ(problems("lora_rank: 0\nlearning_rat: 1\noutput_dir: runs/x\npacking: 1\n"),
            "run.yaml:1: lora_rank: must be at least 1 and at most 1024, found 0\n"
            "run.yaml:2: learning_rat: unknown key; did you mean learning_rate?\n"
            "run.yaml:4: packing: must be true or false, found \"1\"");
}

TEST_F(SchemaTest, AliasesAreNotedOnce) {
  read("lora_r: 4\n");
  EXPECT_EQ(config_.rank, 4);
  EXPECT_TRUE(schema_.was_set("lora_rank"));
  schema_.override_with({"lora_r=5", "r=6"});
  EXPECT_EQ(config_.rank, 6);
  EXPECT_THAT(schema_.notes(),
              ElementsAre("lora_r is read as lora_rank", "r is read as lora_rank"));
}

TEST_F(SchemaTest, AKeyGivenTwiceByAliasesIsAnError) {
  EXPECT_EQ(problems("lora_rank: 4\npacking: true\nlora_r: 8\n"),
            "run.yaml:3: lora_r: means the same key as lora_rank in line 1; keep one");
}

TEST_F(SchemaTest, ErrorsInValuesUnderAnAliasNameTheAlias) {
  EXPECT_THAT(problems("lora_r: x\n"), HasSubstr("run.yaml:1: lora_r: must be an integer"));
}

TEST_F(SchemaTest, TheFileMustBeAMap) {
  EXPECT_EQ(problems("- a\n"), "run.yaml:1: expected lines of \"key: value\", found a list");
  EXPECT_EQ(problems("just words\n"),
            "run.yaml:1: expected lines of \"key: value\", found \"just words\"");
}

TEST_F(SchemaTest, OverridesComeAfterTheFile) {
  read("lora_rank: 8\nmax_steps: 5\n");
  schema_.override_with({"lora_rank=16", "lora_target=[k_proj, o_proj]", "output_dir=a=b",
                         "max_steps=", "lora_rank=64"});
  EXPECT_EQ(config_.rank, 64);
  EXPECT_THAT(config_.targets, ElementsAre("k_proj", "o_proj"));
  EXPECT_EQ(config_.output, "a=b");
  EXPECT_EQ(config_.max_steps, std::nullopt);
  EXPECT_TRUE(schema_.was_set("output_dir"));
}

TEST_F(SchemaTest, OverrideProblemsAreReportedTogether) {
  const Error error = caught([&] {
    schema_.override_with(
        {"lora_rank", "=3", "lora_rank=x", "lora_rnk=3", "lora_target=[a", "output_dir=*x"});
  });
  EXPECT_EQ(error.kind(), ErrorKind::kConfig);
  const std::string text = error.what();
  EXPECT_THAT(text, HasSubstr("command line: \"lora_rank\": expected key=value\n"));
  EXPECT_THAT(text, HasSubstr("command line: \"=3\": expected key=value\n"));
  EXPECT_THAT(text, HasSubstr("command line: lora_rank: must be an integer, found \"x\"\n"));
  EXPECT_THAT(text, HasSubstr("command line: lora_rnk: unknown key; did you mean lora_rank?\n"));
  EXPECT_THAT(text, HasSubstr("command line: lora_target:1: "));
  EXPECT_THAT(text, HasSubstr("command line: output_dir:1: "));
}

TEST_F(SchemaTest, ToYamlListsAllKeysInOrder) {
  EXPECT_EQ(schema_.to_yaml(),
            "lora_rank: 32\nlearning_rate: 0.0001\nlora_dropout: 0.0\npacking: true\n"
            "output_dir: runs/first\nlr_scheduler_type: cosine\nlora_target: [q_proj, v_proj]\n"
            "max_steps: null\nmax_grad_norm: 1.0\n");
}

TEST_F(SchemaTest, ToYamlReadsBackEqual) {
  config_.rank = 77;
  config_.rate = 1.0 / 3.0 * 1e-7;
  config_.packing = false;
  config_.output = "a: b # \"c\"\n\t漢";
  config_.targets = {"true", "", "x,y", "[z]"};
  config_.max_steps = 9'007'199'254'740'993;  // not a double
  config_.clip.reset();
  const std::string yaml = schema_.to_yaml();
  Config other;
  Schema schema;
  bind(schema, other);
  schema.read(parse_yaml(yaml, "again.yaml"), "again.yaml");
  EXPECT_EQ(other.rank, config_.rank);
  EXPECT_EQ(other.rate, config_.rate);
  EXPECT_EQ(other.packing, config_.packing);
  EXPECT_EQ(other.output, config_.output);
  EXPECT_EQ(other.targets, config_.targets);
  EXPECT_EQ(other.max_steps, config_.max_steps);
  EXPECT_EQ(other.clip, std::nullopt);
  EXPECT_EQ(schema.to_yaml(), yaml);
}

TEST_F(SchemaTest, ToMarkdownDocumentsTheDefaults) {
  read("lora_rank: 99\n");  // the table keeps the default
  const std::string table = schema_.to_markdown();
  EXPECT_THAT(table, HasSubstr("| key | type | default | meaning | other names |\n"));
  EXPECT_THAT(table, HasSubstr("| `lora_rank` | int in [1, 1024] | `32` | rank of the update | "
                               "`lora_r`, `r` |\n"));
  EXPECT_THAT(table, HasSubstr("| `learning_rate` | number > 0 | `0.0001` |"));
  EXPECT_THAT(table, HasSubstr("| linear \\| cosine \\| constant | `cosine` |"));
  EXPECT_THAT(table, HasSubstr("| `max_steps` | int >= 1, or null | `null` |"));
}

TEST_F(SchemaTest, CustomKeysReadStructure) {
  std::vector<std::string> paths;
  schema_.add_custom({"datasets",
                      {"train_datasets"},
                      "list of maps",
                      "what to train on",
                      "(required)",
                      [&](const YamlNode& node) -> std::string {
                        for (const YamlNode& item : node.items) {
                          const YamlNode* const path = item.find("path");
                          if (path == nullptr) {
                            return "an entry has no path";
                          }
                          paths.push_back(path->text);
                        }
                        return "";
                      },
                      [] { return "[]"; }});
  read("train_datasets:\n  - path: a.jsonl\n  - {path: b.jsonl}\n");
  EXPECT_THAT(paths, ElementsAre("a.jsonl", "b.jsonl"));
  EXPECT_THAT(problems("datasets: [{file: x}]\n"),
              HasSubstr("run.yaml:1: datasets: an entry has no path"));
  EXPECT_THAT(schema_.to_markdown(), HasSubstr("| `(required)` |"));
}

TEST_F(SchemaTest, LinesOfOverridesAreZero) {
  int line = -1;
  int item_line = -1;
  schema_.add_custom({"probe",
                      {},
                      "",
                      "",
                      "x",
                      [&](const YamlNode& node) -> std::string {
                        line = node.line;
                        item_line = node.items.at(0).line;
                        return "";
                      },
                      [] { return "x"; }});
  schema_.override_with({"probe=[a]"});
  EXPECT_EQ(line, 0);
  EXPECT_EQ(item_line, 0);
  EXPECT_THAT(schema_.notes(), IsEmpty());
}

}  // namespace
}  // namespace weft
