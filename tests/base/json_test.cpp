#include "base/json.h"

#include <gmock/gmock.h>

#include <ctime>

#include "tests/support/caught.h"
#include "tests/support/temp_folder.h"

namespace weft {
namespace {

using test::caught;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string problem(std::string_view text) {
  const Error error = caught([&] { (void)parse_json(text, "x.json"); });
  EXPECT_EQ(error.kind(), ErrorKind::kData) << text;
  return error.what();
}

TEST(ParseJson, KeepsKeyOrderAndTypes) {
  const Json json = parse_json(R"({"b": [1, -2, 2.5, true, null, "x"], "a": {"c": {}}})", "x");
  EXPECT_EQ(dump_json(json), R"({"b":[1,-2,2.5,true,null,"x"],"a":{"c":{}}})");
  EXPECT_TRUE(json["b"][0].is_number_unsigned());
  EXPECT_TRUE(json["b"][2].is_number_float());
}

TEST(ParseJson, TakesAnySingleValue) {
  EXPECT_EQ(parse_json(" 3 ", "x"), 3);
  EXPECT_EQ(parse_json("\"\\u6f22\\ud83d\\ude00\"", "x"), "漢😀");
  EXPECT_TRUE(parse_json("[]", "x").empty());
}

TEST(ParseJson, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_EQ(problem(R"({"a": 1, "b": 2, "a": 3})"),
            "x.json: the key \"a\" stands twice in one object");
  EXPECT_THAT(problem(R"([{"k": {"a": 1, "a": 1}}])"), HasSubstr("\"a\" stands twice"));
  EXPECT_NO_THROW((void)parse_json(R"([{"a": 1}, {"a": 1}])", "x"));
}

TEST(ParseJson, RefusesMalformedText) {
  EXPECT_THAT(problem(""), StartsWith("x.json: not valid JSON: parse error at line 1"));
  EXPECT_THAT(problem("{} x"), HasSubstr("expected end of input"));
  EXPECT_THAT(problem("{} {}"), HasSubstr("expected end of input"));
  EXPECT_THAT(problem("{\"a\": 1,}"), HasSubstr("line 1, column 9"));
  EXPECT_THAT(problem("\"\xC3(\""), HasSubstr("ill-formed UTF-8"));
  EXPECT_THAT(problem("\"\\ud800\""), HasSubstr("surrogate"));
  EXPECT_THAT(problem("NaN"), HasSubstr("not valid JSON"));
  EXPECT_THAT(problem("01"), HasSubstr("not valid JSON"));
  EXPECT_THAT(problem("[1] // no comments"), HasSubstr("not valid JSON"));
}

TEST(ParseJson, RefusesTextAfterANulByte) {
  // The parser underneath takes NUL for the end and would not see the rest.
  EXPECT_EQ(problem(std::string_view("{}\0{", 4)), "x.json: not valid JSON: a NUL byte at byte 2");
}

TEST(ParseJson, RefusesNumbersThatDoNotFit) {
  EXPECT_THAT(problem("1e400"), HasSubstr("number overflow"));
  EXPECT_EQ(problem("[18446744073709551616]"),
            "x.json: the integer 18446744073709551616 does not fit in 64 bits");
  EXPECT_THAT(problem("-9223372036854775809"), HasSubstr("does not fit in 64 bits"));
  EXPECT_EQ(parse_json("18446744073709551615", "x"), 18446744073709551615ULL);
  EXPECT_EQ(parse_json("-9223372036854775808", "x"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(parse_json("18446744073709551616.0", "x"), 18446744073709551616.0);
}

TEST(ParseJson, LimitsTheDepth) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW((void)parse_json(nested(128), "x"));
  EXPECT_EQ(problem(nested(129)), "x.json: JSON nested deeper than 128 levels");
  EXPECT_THAT(problem(std::string(1'000'000, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(caught([&] { (void)parse_json("{\"a\": [1]}", "x", {1}); }).what(),
              HasSubstr("deeper than 1 levels"));
}

TEST(ParseJson, MessagesShowNoControlCharactersAndNoLongTokens) {
  const std::string message = problem("\"\x1b[31m" + std::string(100'000, 'a'));
  EXPECT_LT(message.size(), 500U);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
}

TEST(ParseJson, IsLinearInTheNumberOfKeys) {
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i) {
    text += (i > 0 ? "," : "") + ("\"some-key-" + std::to_string(i) + "\":" + std::to_string(i));
  }
  text += "}";
  const std::clock_t start = std::clock();  // processor time: other programs do not count
  const Json json = parse_json(text, "x");
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(json.size(), 300'000U);
  EXPECT_LT(seconds, 10.0);  // a quadratic insert takes minutes
}

TEST(ReadJson, NamesTheFile) {
  const test::TempFolder folder;
  publish_file(posix_file_system(), folder / "good.json", R"({"a": 1})");
  EXPECT_EQ(read_json(posix_file_system(), folder / "good.json")["a"], 1);
  publish_file(posix_file_system(), folder / "bad.json", "{");
  EXPECT_THAT(caught([&] { (void)read_json(posix_file_system(), folder / "bad.json"); }).what(),
              StartsWith((folder / "bad.json").string() + ": not valid JSON"));
}

class JsonAccess : public ::testing::Test {
 protected:
  const Json json_ = parse_json(
      R"({"int": -3, "big": 18446744073709551615, "real": 1.0, "yes": true, "text": "t",
          "ints": [1, 2], "mixed": [1, "x"], "none": null, "map": {}})",
      "x");
};

TEST_F(JsonAccess, ReadsEachType) {
  EXPECT_EQ(json_int(json_, "int", "f"), -3);
  EXPECT_EQ(json_number(json_, "int", "f"), -3.0);
  EXPECT_EQ(json_number(json_, "real", "f"), 1.0);
  EXPECT_TRUE(json_bool(json_, "yes", "f"));
  EXPECT_EQ(json_string(json_, "text", "f"), "t");
  EXPECT_THAT(json_ints(json_, "ints", "f"), ElementsAre(1, 2));
  EXPECT_TRUE(json_member(json_, "none", "f").is_null());
}

TEST_F(JsonAccess, FindSkipsAbsentAndNull) {
  EXPECT_EQ(*json_find(json_, "int"), -3);
  EXPECT_EQ(json_find(json_, "none"), nullptr);
  EXPECT_EQ(json_find(json_, "absent"), nullptr);
  EXPECT_EQ(json_find(Json(3), "absent"), nullptr);
}

TEST_F(JsonAccess, ErrorsNameFileKeyFoundAndExpected) {
  const auto message = [&](auto&& action) { return std::string(caught(action).what()); };
  EXPECT_EQ(message([&] { (void)json_int(json_, "absent", "f"); }),
            "f: the key \"absent\" is missing");
  EXPECT_EQ(message([&] { (void)json_int(json_, "real", "f"); }),
            "f: \"real\" must be an integer, found a number with a fraction");
  EXPECT_EQ(message([&] { (void)json_int(json_, "big", "f"); }),
            "f: \"big\" is 18446744073709551615, more than the largest integer allowed, "
            "9223372036854775807");
  EXPECT_EQ(message([&] { (void)json_number(json_, "text", "f"); }),
            "f: \"text\" must be a number, found a string");
  EXPECT_EQ(message([&] { (void)json_bool(json_, "int", "f"); }),
            "f: \"int\" must be true or false, found an integer");
  EXPECT_EQ(message([&] { (void)json_string(json_, "none", "f"); }),
            "f: \"none\" must be a string, found null");
  EXPECT_EQ(message([&] { (void)json_ints(json_, "map", "f"); }),
            "f: \"map\" must be an array of integers, found an object");
  EXPECT_EQ(message([&] { (void)json_ints(json_, "mixed", "f"); }),
            "f: \"mixed[1]\" must be an integer, found a string");
  EXPECT_EQ(message([&] { (void)json_member(Json::array(), "a", "f"); }),
            "f: expected an object with the key \"a\", found an array");
}

}  // namespace
}  // namespace weft
