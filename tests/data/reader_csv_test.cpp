#include "data/reader_csv.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "reader_test_support.h"

namespace weft::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class ReaderCsvTest : public FolderTest {
 protected:
  NumberedRows rows(std::string_view text, std::uint64_t limit = 1 << 20,
                    FileSyntax syntax = FileSyntax::kCsv) {
    return read_rows(files_, put("a.csv", text), row_options(syntax, limit));
  }
  std::string refusal(std::string_view text, std::uint64_t limit = 1 << 20) {
    return error_of([&] { (void)rows(text, limit); });
  }
};

TEST_F(ReaderCsvTest, WhatPythonsWriterWroteIsReadBack) {
  const Json json = read_json(files_, kInputFixtures / "expected.json");
  for (const char* name : {"rows.csv", "rows.tsv"}) {
    const NumberedRows found =
        read_rows(files_, kInputFixtures / name, row_options(file_syntax(name)));
    ASSERT_EQ(found.size(), json["csv"].size()) << name;
    for (std::size_t i = 0; i < found.size(); ++i) {
      EXPECT_EQ(parse_json(found[i].second, name), json["csv"][i]) << name;
    }
  }
}

TEST_F(ReaderCsvTest, RowsAreObjectsOfStringsWithTheLineTheyBeginOn) {
  EXPECT_THAT(rows("\xEF\xBB\xBFq,a\r\n1,\"x\r\ny\"\r\n\r\n\"\",3"),
              ElementsAre(Pair(2, R"({"q":"1","a":"x\r\ny"})"), Pair(5, R"({"q":"","a":"3"})")));
  EXPECT_THAT(rows("q\n\"\"\n\na\n"), ElementsAre(Pair(2, R"({"q":""})"), Pair(4, R"({"q":"a"})")));
}

TEST_F(ReaderCsvTest, AQuoteInsideAPlainFieldIsACharacter) {
  EXPECT_THAT(rows("q,a\n5\" pipe,b\n"), ElementsAre(Pair(2, R"({"q":"5\" pipe","a":"b"})")));
}

TEST_F(ReaderCsvTest, TabsSeparateAndCommasDoNot) {
  EXPECT_THAT(rows("q\ta\nx,y\tz\n", 100, FileSyntax::kTsv),
              ElementsAre(Pair(2, R"({"q":"x,y","a":"z"})")));
}

TEST_F(ReaderCsvTest, AnEmptyFileAndAHeaderAloneHaveNoRows) {
  EXPECT_THAT(rows(""), ElementsAre());
  EXPECT_THAT(rows("q,a\n"), ElementsAre());
}

TEST_F(ReaderCsvTest, BadRowsAreNamedWithTheirLine) {
  EXPECT_THAT(refusal("q,a\n1,2\n\"x\n\",3,4\n"),
              HasSubstr("a.csv:3: 3 fields, the header has 2; a field with a comma"));
  EXPECT_THAT(refusal("q,a\n\"x\" y,2\n"),
              HasSubstr("a.csv:2: text after the closing quote of a field"));
  EXPECT_THAT(refusal("q,a\n1,2\n3,\"never\nclosed\n"),
              HasSubstr("a.csv:3: a quote that is opened in this row is never closed"));
  EXPECT_THAT(refusal("q,a\n1,\xFF\n"), HasSubstr("a.csv:2: column 2 is not valid UTF-8"));
}

TEST_F(ReaderCsvTest, AHeaderNeedsANameForEachColumn) {
  EXPECT_THAT(refusal("q,q\n1,2\n"), HasSubstr("a.csv:1: the header has the column name 'q'"));
  EXPECT_THAT(refusal("q,\n1,2\n"), HasSubstr("a.csv:1: the header has the column name ''"));
}

TEST_F(ReaderCsvTest, ARowOverTheLimitIsNamedWhereItBegins) {
  EXPECT_THAT(refusal("q,a\n1,2\n3,\"" + std::string(1000, '\n') + "\"\n", 100),
              HasSubstr("a.csv:3: the row that begins here is longer than 100 B"));
}

}  // namespace
}  // namespace weft::data
