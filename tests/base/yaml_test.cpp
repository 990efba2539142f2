#include "base/yaml.h"

#include <gmock/gmock.h>

#include "base/yaml_scalar.h"
#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft {
namespace {

using test::caught;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Kind = YamlNode::Kind;

std::string problem(std::string_view text) {
  const Error error = caught([&] { (void)parse_yaml(text, "run.yaml"); });
  EXPECT_EQ(error.kind(), ErrorKind::kConfig) << text;
  return error.what();
}

TEST(ParseYaml, ReadsMapsListsAndScalars) {
  const YamlNode node = parse_yaml(
      "# a run\n"
      "name: first run  # comment\n"
      "size: 3\n"
      "\n"
      "quoted: \"3\"\n"
      "single: 'it''s'\n"
      "empty:\n"
      "tilde: ~\n"
      "list:\n"
      "  - a\n"
      "  - {path: x, weight: 0.5}\n"
      "flow: [q, v]\n"
      "block: |\n"
      "  two\n"
      "  lines\n",
      "run.yaml");
  ASSERT_EQ(node.kind, Kind::kMap);
  EXPECT_EQ(node.members.size(), 9U);
  EXPECT_EQ(node.members[0].first, "name");
  EXPECT_EQ(node.find("name")->text, "first run");
  EXPECT_FALSE(node.find("size")->quoted);
  EXPECT_TRUE(node.find("quoted")->quoted);
  EXPECT_EQ(node.find("single")->text, "it's");
  EXPECT_EQ(node.find("empty")->kind, Kind::kNull);
  EXPECT_EQ(node.find("tilde")->kind, Kind::kNull);
  ASSERT_EQ(node.find("list")->items.size(), 2U);
  EXPECT_EQ(node.find("list")->items[1].find("weight")->text, "0.5");
  EXPECT_EQ(node.find("flow")->items[1].text, "v");
  EXPECT_EQ(node.find("block")->text, "two\nlines\n");
  EXPECT_EQ(node.find("absent"), nullptr);
}

TEST(ParseYaml, KnowsTheLines) {
  const YamlNode node = parse_yaml("a: 1\n\nb:\n\nc: [1,\n  2]\nd:\n  - x\n", "run.yaml");
  EXPECT_EQ(node.find("a")->line, 1);
  EXPECT_EQ(node.find("b")->line, 3);  // nothing stands there: the key's line
  EXPECT_EQ(node.find("c")->line, 5);
  EXPECT_EQ(node.find("c")->items[1].line, 6);
  EXPECT_EQ(node.find("d")->items[0].line, 8);
}

TEST(ParseYaml, TextWithoutAValueIsNull) {
  EXPECT_EQ(parse_yaml("", "x").kind, Kind::kNull);
  EXPECT_EQ(parse_yaml("# only a comment\n", "x").kind, Kind::kNull);
  EXPECT_EQ(parse_yaml("---\n", "x").kind, Kind::kNull);
}

TEST(ParseYaml, AcceptsOneDocumentMarkerWindowsLinesAndAByteOrderMark) {
  EXPECT_EQ(parse_yaml("---\na: 1\n", "x").find("a")->text, "1");
  EXPECT_EQ(parse_yaml("a: 1\r\nb: 2\r\n", "x").find("b")->text, "2");
  EXPECT_EQ(parse_yaml("\xEF\xBB\xBF"
                       "a: 1\n",
                       "x")
                .find("a")
                ->text,
            "1");
}

TEST(ParseYaml, RefusesDuplicateKeys) {
  EXPECT_EQ(problem("a: 1\nb: 2\na: 3\n"),
            "run.yaml:3: the key \"a\" stands twice, first in line 1");
  EXPECT_THAT(problem("- {k: 1, k: 2}\n"), StartsWith("run.yaml:1: the key \"k\" stands twice"));
  EXPECT_NO_THROW((void)parse_yaml("- {k: 1}\n- {k: 2}\n", "x"));
}

TEST(ParseYaml, RefusesAnchorsAliasesAndTags) {
  EXPECT_EQ(problem("a: &x 1\nb: 2\n"),
            "run.yaml:1: anchors (&name) are not supported; write the value out");
  EXPECT_THAT(problem("a: &x [1]\n"), HasSubstr("anchors"));
  EXPECT_THAT(problem("a: &x {b: 1}\n"), HasSubstr("anchors"));
  EXPECT_THAT(problem("a: &x\n"), HasSubstr("anchors"));
  EXPECT_THAT(problem("a: 1\nb: *x\n"), StartsWith("run.yaml:2: "));
  EXPECT_EQ(problem("a: 1\nb: !!int \"3\"\n"),
            "run.yaml:2: tags (!name) are not supported; remove \"tag:yaml.org,2002:int\"");
  EXPECT_THAT(problem("a: !thing [1]\n"), HasSubstr("tags"));
  EXPECT_THAT(problem("a: !!map {b: 1}\n"), HasSubstr("tags"));
}

TEST(ParseYaml, RefusesSeveralDocuments) {
  EXPECT_THAT(problem("a: 1\n---\nb: 2\n"),
              HasSubstr("a second document begins here; a config is one document"));
}

TEST(ParseYaml, RefusesKeysThatAreNotWords) {
  EXPECT_EQ(problem("a: 1\n? [b, c]\n: 2\n"),
            "run.yaml:2: a key must be a plain word; or is a bracket not closed?");
  EXPECT_THAT(problem("{a: b}: 1\n"), HasSubstr("a key must be a plain word"));
  EXPECT_THAT(problem("~: 1\n"), HasSubstr("a key must be a plain word"));
}

TEST(ParseYaml, RefusesMalformedTextWithItsLine) {
  EXPECT_THAT(problem("a: 1\nb: [1, 2\n"), HasSubstr("run.yaml:2: expected \"2: value\"; is a "));
  EXPECT_THAT(problem("a: [1, 2\nb: 3\n"), HasSubstr("end of sequence flow not found"));
  EXPECT_THAT(problem("a: 1\n b: 2\n"), StartsWith("run.yaml:2: not valid YAML: "));
  EXPECT_THAT(problem("[a, b\n"), HasSubstr("run.yaml:1: a key must be a plain word; or is a "));
  EXPECT_THAT(problem("a: 1\nb\nc: 2\n"), StartsWith("run.yaml:3: not valid YAML: "));
}

TEST(ParseYaml, RefusesAnOpenQuoteAtTheEnd) {
  for (const char* const text : {"a: \"open", "a: \"open\n", "a: 'open\nb: 2\n"}) {
    EXPECT_THAT(problem(text), HasSubstr("not valid YAML: illegal document indicator")) << text;
  }
}

TEST(ParseYaml, RefusesAKeyWithoutAColon) {
  EXPECT_EQ(problem("a: 1\nb\n"),
            "run.yaml:2: expected \"b: value\"; is a colon missing, or a bracket not closed?");
  EXPECT_THAT(problem("a: 1\nb  # no: colon"), StartsWith("run.yaml:2: "));
  EXPECT_THAT(problem("a: 1\n\"b: c\""), StartsWith("run.yaml:2: "));
  EXPECT_THAT(problem("{a: 1, \"b: c\"}"), HasSubstr("\"b: c: value\"; is a colon missing"));
  EXPECT_THAT(problem("\xEF\xBB\xBF"
                      "a: {b, c: 1}"),
              HasSubstr("\"b: value\""));
  const YamlNode node = parse_yaml("'a' : \n\"b\":\né: {漢: , d:}\nlast:", "x");
  EXPECT_EQ(node.members.size(), 4U);
  EXPECT_EQ(node.find("é")->members.size(), 2U);
}

TEST(ParseYaml, RefusesBytesThatYamlCppWouldTakeSilently) {
  EXPECT_EQ(problem("a: 1\nb: \xFF\n"), "run.yaml:2: not valid UTF-8");
  // yaml-cpp takes this byte for the end of the file.
  EXPECT_EQ(problem("a: 1\n\x04z: 2\n"), "run.yaml:2: a control character (\\x04)");
  EXPECT_THAT(problem(std::string_view("a: \0\n", 5)), HasSubstr("a control character (\\x00)"));
  EXPECT_THAT(problem(std::string_view("\xFE\xFF\0a", 4)), HasSubstr("not valid UTF-8"));
}

TEST(ParseYaml, LimitsDepthAndSize) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW((void)parse_yaml(nested(32), "x"));
  EXPECT_EQ(problem(nested(33)), "run.yaml:1: nested deeper than 32 levels");
  EXPECT_EQ(caught([&] { (void)parse_yaml(nested(5000), "x"); }).kind(), ErrorKind::kConfig);
  std::string many;
  for (int i = 0; i < 100'001; ++i) {
    many += "- 1\n";
  }
  EXPECT_EQ(problem(many), "run.yaml:100000: more than 100000 values");
}

TEST(ReadYaml, NamesTheFile) {
  const test::TempFolder folder;
  publish_file(posix_file_system(), folder / "run.yaml", "a: 1\na: 2\n");
  EXPECT_THAT(caught([&] { (void)read_yaml(posix_file_system(), folder / "run.yaml"); }).what(),
              StartsWith((folder / "run.yaml").string() + ":2: "));
}

YamlNode scalar(std::string_view yaml) { return parse_yaml(yaml, "scalar"); }

TEST(YamlScalars, IntegersAreDecimalDigits) {
  EXPECT_EQ(yaml_int(scalar("42")), 42);
  EXPECT_EQ(yaml_int(scalar("-7")), -7);
  EXPECT_EQ(yaml_int(scalar("+7")), 7);
  EXPECT_EQ(yaml_int(scalar("9223372036854775807")), 9223372036854775807);
  for (const char* const text : {"9223372036854775808", "1.0", "1e3", "0x10", "1_000", "+-1",
                                 "'42'", "\"42\"", "abc", "[1]", "", "4 2"}) {
    EXPECT_EQ(yaml_int(scalar(text)), std::nullopt) << text;
  }
}

TEST(YamlScalars, NumbersAreFinite) {
  EXPECT_EQ(yaml_number(scalar("3")), 3.0);
  EXPECT_EQ(yaml_number(scalar("1e-4")), 1e-4);
  EXPECT_EQ(yaml_number(scalar("-2.5E+3")), -2500.0);
  EXPECT_EQ(yaml_number(scalar(".5")), 0.5);
  for (const char* const text : {"'1.5'", "nan", ".nan", "inf", "-.inf", "1e999", "1,5", "1.5x"}) {
    EXPECT_EQ(yaml_number(scalar(text)), std::nullopt) << text;
  }
}

TEST(YamlScalars, TruthValuesAreTrueAndFalse) {
  EXPECT_EQ(yaml_bool(scalar("true")), true);
  EXPECT_EQ(yaml_bool(scalar("False")), false);
  for (const char* const text : {"'true'", "yes", "on", "1", "tRUE", ""}) {
    EXPECT_EQ(yaml_bool(scalar(text)), std::nullopt) << text;
  }
}

TEST(YamlText, ReadsBackAsTheSameString) {
  for (const char* const text : {"plain",   "models/Qwen3-0.6B",
                                 "./x",     "/abs/path",
                                 "",        "true",
                                 "NO",      "null",
                                 "~",       "1",
                                 "1e5",     "-",
                                 "- x",     "a: b",
                                 "a #b",    "#",
                                 "it's",    "\"q\"",
                                 "tab\t",   "new\nline",
                                 "é漢😀",    "\x7f",
                                 "\x1b[0m", "*x",
                                 "&x",      "!x",
                                 "{a}",     "[a]",
                                 " lead",   "trail ",
                                 "@x",      "%x",
                                 "back\\"}) {
    const YamlNode node = parse_yaml("k: " + yaml_text(text) + "\n", "x");
    ASSERT_EQ(node.find("k")->kind, Kind::kScalar) << text;
    EXPECT_EQ(node.find("k")->text, text);
  }
  EXPECT_EQ(yaml_text("models/Qwen3-0.6B"), "models/Qwen3-0.6B");
  EXPECT_EQ(yaml_text("true"), "\"true\"");
}

TEST(YamlText, NumbersHaveAPoint) {
  EXPECT_EQ(yaml_number_text(1e-5), "1.0e-05");
  EXPECT_EQ(yaml_number_text(3), "3.0");
  EXPECT_EQ(yaml_number_text(1.5e-7), "1.5e-07");
}

}  // namespace
}  // namespace weft
