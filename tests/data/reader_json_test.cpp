#include "data/reader_json.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "base/random.h"
#include "reader_test_support.h"

namespace weft::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class ReaderJsonTest : public FolderTest {
 protected:
  NumberedRows rows(std::string_view text, std::uint64_t limit = 1 << 20) {
    return read_rows(files_, put("a.json", text), row_options(FileSyntax::kJson, limit));
  }
  std::string refusal(std::string_view text, std::uint64_t limit = 1 << 20) {
    return error_of([&] { (void)rows(text, limit); });
  }
};

TEST_F(ReaderJsonTest, OneValueALineBlankLinesLeftOut) {
  EXPECT_THAT(rows("{\"a\": 1}\n\n \t\n{\"b\": 2}\r\n"),
              ElementsAre(Pair(1, R"({"a": 1})"), Pair(4, R"({"b": 2})")));
}

TEST_F(ReaderJsonTest, AnArrayIsItsElementsWithTheLineTheyBeginOn) {
  EXPECT_THAT(
      rows("\xEF\xBB\xBF [\n {\"a\": \"],}\\\"\\\\\"},\n\n{\"b\":\n [1, {}]} , 3,\"x\" ]\n"),
      ElementsAre(Pair(2, R"({"a": "],}\"\\"})"), Pair(4, "{\"b\":\n [1, {}]}"), Pair(5, "3"),
                  Pair(5, "\"x\"")));
  EXPECT_THAT(rows("[]"), ElementsAre());
  EXPECT_THAT(rows("[ \n ]\n"), ElementsAre());
  EXPECT_THAT(rows(""), ElementsAre());
}

TEST_F(ReaderJsonTest, ArraysThatAreNotWholeAreNamedWithTheLine) {
  EXPECT_THAT(refusal("[{\"a\": 1},\n{\"b\""),
              HasSubstr("a.json:2: the file ends inside its array"));
  EXPECT_THAT(refusal("[{\"a\": \"\\"), HasSubstr("a.json:1: the file ends inside its array"));
  EXPECT_THAT(refusal("["), HasSubstr("a.json:1: the file ends inside its array"));
  EXPECT_THAT(refusal("[1\n,]"),
              HasSubstr("a.json:2: an element of the array is missing before ]"));
  EXPECT_THAT(refusal("[,1]"), HasSubstr("a.json:1: an element of the array is missing before ,"));
  EXPECT_THAT(refusal("[1 2]"), HasSubstr("a.json:1: expected , or ] after an element"));
  EXPECT_THAT(refusal("[}]"), HasSubstr("a.json:1: expected , or ] after an element"));
  EXPECT_THAT(refusal("[1]\n[2]"), HasSubstr("a.json:2: text after the end of the array"));
  EXPECT_THAT(refusal("[\n\"\xFF\"]"), HasSubstr("a.json:2: the element that begins here is not"));
}

TEST_F(ReaderJsonTest, AnElementOverTheLimitIsNamedWhereItBegins) {
  EXPECT_THAT(refusal("[1,\n\"" + std::string(1000, '\n') + "\"]", 100),
              HasSubstr("a.json:2: the element that begins here is longer than 100 B"));
  EXPECT_THAT(refusal("[1,\n" + std::string(1000, '{'), 100), HasSubstr("a.json:2: the element"));
}

TEST_F(ReaderJsonTest, AnyArrayGivesBackItsElements) {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    Json array = Json::array();
    for (std::uint64_t i = random.below(20); i > 0; --i) {
      std::string text;
      for (std::uint64_t j = random.below(30); j > 0; --j) {
        text += "[]{},\"\\:\n\t ax"[random.below(13)];
      }
      array.push_back(
          {{"k" + text, {text, Json::array({1, -2.5, nullptr, true}), Json::object()}}});
    }
    Json back = Json::array();
    const std::string text = random.below(2) == 0 ? dump_json(array) : array.dump(2);
    for (const auto& [line, element] : rows(text, 1 << 20)) {
      back.push_back(parse_json(element, "element"));
    }
    ASSERT_EQ(back, array) << text;
  }
}

}  // namespace
}  // namespace weft::data
