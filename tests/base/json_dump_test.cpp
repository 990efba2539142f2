#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <limits>

#include "base/json.h"
#include "base/random.h"

namespace weft {
namespace {

struct FloatCase {
  double value;
  const char* text;
};

// Texts printed by Python 3's json.dumps.
TEST(DumpJsonPython, FloatsAsPythonPrintsThem) {
  const FloatCase cases[] = {
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {1.0, "1.0"},
      {0.1, "0.1"},
      {1.0 / 3.0, "0.3333333333333333"},
      {1e15, "1000000000000000.0"},
      {0x1.1c37937e07fffp+53, "9999999999999998.0"},
      {1e16, "1e+16"},
      {123456789012345680.0, "1.2345678901234568e+17"},
      {1e22, "1e+22"},
      {1e100, "1e+100"},
      {0.001, "0.001"},
      {0.0001, "0.0001"},
      {0.00012345, "0.00012345"},
      {1e-5, "1e-05"},
      {1.5e-7, "1.5e-07"},
      {3e-310, "3e-310"},
      {5e-324, "5e-324"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
      {100.0, "100.0"},
      {12345.678, "12345.678"},
      {-2.5, "-2.5"},
      {std::numeric_limits<double>::infinity(), "Infinity"},
      {-std::numeric_limits<double>::infinity(), "-Infinity"},
      {std::numeric_limits<double>::quiet_NaN(), "NaN"},
  };
  for (const FloatCase& entry : cases) {
    EXPECT_EQ(dump_json_python(Json(entry.value)), entry.text);
  }
}

TEST(DumpJsonPython, IntegersStayIntegers) {
  EXPECT_EQ(dump_json_python(Json(-7)), "-7");
  EXPECT_EQ(dump_json_python(Json(std::numeric_limits<std::uint64_t>::max())),
            "18446744073709551615");
}

const Json& sample() {
  static const Json json = parse_json(
      R"({"b": [1, -2, [], {}], "a": {"x": null, "é": "q\"\\\n\t\r\b\f\u0001\u001f\u007f/ 漢\u2028"},
          "f": [1.0, 1e-5], "t": true})",
      "sample");
  return json;
}

// print(json.dumps(sample, ensure_ascii=False))
TEST(DumpJsonPython, MatchesPythonOnOneLine) {
  EXPECT_EQ(dump_json_python(sample()),
            "{\"b\": [1, -2, [], {}], \"a\": {\"x\": null, \"é\": "
            "\"q\\\"\\\\\\n\\t\\r\\b\\f\\u0001\\u001f\x7f/ 漢\u2028\"}, \"f\": [1.0, 1e-05], "
            "\"t\": true}");
}

// print(json.dumps(sample, ensure_ascii=False, indent=2))
TEST(DumpJsonPretty, MatchesPythonWithIndent) {
  EXPECT_EQ(dump_json_pretty(sample()),
            "{\n  \"b\": [\n    1,\n    -2,\n    [],\n    {}\n  ],\n  \"a\": {\n    \"x\": null,\n"
            "    \"é\": \"q\\\"\\\\\\n\\t\\r\\b\\f\\u0001\\u001f\x7f/ 漢\u2028\"\n  },\n"
            "  \"f\": [\n    1.0,\n    1e-05\n  ],\n  \"t\": true\n}");
  EXPECT_EQ(dump_json_pretty(Json::object()), "{}");
  EXPECT_EQ(dump_json_pretty(Json::array()), "[]");
}

// sort_keys sorts by code point, at every level: "z" < "é" < U+FF5E < U+1F600 (UTF-16 would put the
// last one third).
TEST(DumpJsonPretty, SortsKeysAsPython) {
  const Json json = parse_json(R"({"😀": 1, "～": 2, "é": 3, "z": {"b": 1, "a": 2}})", "x");
  EXPECT_EQ(dump_json_pretty(json, true),
            "{\n  \"z\": {\n    \"a\": 2,\n    \"b\": 1\n  },\n  \"é\": 3,\n  \"～\": 2,\n"
            "  \"😀\": 1\n}");
}

TEST(DumpJson, IsCompactAndKeepsOrder) {
  const Json json = parse_json(R"({"b": [1, 2.5], "a": "é"})", "x");
  EXPECT_EQ(dump_json(json), R"({"b":[1,2.5],"a":"é"})");
}

TEST(DumpJson, NonFiniteBecomesNull) {
  EXPECT_EQ(dump_json(Json(std::numeric_limits<double>::quiet_NaN())), "null");
  EXPECT_EQ(dump_json(Json(std::numeric_limits<double>::infinity())), "null");
}

TEST(DumpJson, BytesThatAreNotUtf8AreReplaced) {
  EXPECT_EQ(dump_json(Json("a\xFFz")), "\"a\uFFFDz\"");
  EXPECT_EQ(dump_json_python(Json("a\xFFz")), "\"a\uFFFDz\"");
}

TEST(DumpJson, RandomDoublesRoundTrip) {
  Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    const double value = std::bit_cast<double>(random.bits());
    if (value - value != 0.0) {
      continue;  // infinite or not a number
    }
    for (const std::string& text : {dump_json(Json(value)), dump_json_python(Json(value))}) {
      ASSERT_EQ(parse_json(text, "x").get<double>(), value) << text;
    }
  }
}

}  // namespace
}  // namespace weft
