#include "data/reader.h"

#include <gmock/gmock.h>

#include "data/reader_lines.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class ReaderTest : public FolderTest {
 protected:
  /// (line, text) of every row.
  std::vector<std::pair<std::int64_t, std::string>> rows(std::string_view text, TextSplit split,
                                                         const std::string& separator = {}) {
    const fs::path path = put("file.txt", text);
    const auto reader = open_rows(files_, path, {.split = split, .separator = separator});
    std::vector<std::pair<std::int64_t, std::string>> found;
    Row row;
    while (reader->next(row)) {
      found.emplace_back(row.line, row.text);
    }
    EXPECT_EQ(reader->bytes_read(), text.size());
    return found;
  }
};

TEST_F(ReaderTest, LinesEndInLfOrCrlfAndTheLastNeedsNone) {
  EXPECT_THAT(rows("one\ntwo\r\n\nfour", TextSplit::kLine),
              ElementsAre(Pair(1, "one"), Pair(2, "two"), Pair(3, ""), Pair(4, "four")));
  EXPECT_THAT(rows("one\n", TextSplit::kLine), ElementsAre(Pair(1, "one")));
}

TEST_F(ReaderTest, AnEmptyFileHasNoLinesAndNoParagraphs) {
  EXPECT_THAT(rows("", TextSplit::kLine), ElementsAre());
  EXPECT_THAT(rows("", TextSplit::kParagraph), ElementsAre());
  EXPECT_THAT(rows("\n \n", TextSplit::kParagraph), ElementsAre());
  EXPECT_THAT(rows("", TextSplit::kFile), ElementsAre(Pair(1, "")));
}

TEST_F(ReaderTest, AByteOrderMarkIsDropped) {
  EXPECT_THAT(rows("\xEF\xBB\xBFone\n\xEF\xBB\xBFtwo", TextSplit::kLine),
              ElementsAre(Pair(1, "one"), Pair(2, "\xEF\xBB\xBFtwo")));
  EXPECT_THAT(rows("\xEF\xBB\xBFone\n", TextSplit::kFile), ElementsAre(Pair(1, "one\n")));
}

TEST_F(ReaderTest, ParagraphsStandBetweenBlankLines) {
  EXPECT_THAT(rows("\n\none\r\ntwo\n \t\n\nthree\n", TextSplit::kParagraph),
              ElementsAre(Pair(3, "one\ntwo"), Pair(7, "three")));
}

TEST_F(ReaderTest, ASeparatorIsAWholeLine) {
  EXPECT_THAT(rows("a\n\nb\n---\n--- not\n---", TextSplit::kSeparator, "---"),
              ElementsAre(Pair(1, "a\n\nb"), Pair(5, "--- not")));
}

TEST_F(ReaderTest, AFileIsTakenAsItIs) {
  EXPECT_THAT(rows("a\r\n\n b\n", TextSplit::kFile), ElementsAre(Pair(1, "a\r\n\n b\n")));
}

TEST_F(ReaderTest, InvalidUtf8IsNamedWithItsLine) {
  for (const TextSplit split : {TextSplit::kLine, TextSplit::kParagraph, TextSplit::kFile}) {
    EXPECT_THAT(error_of([&] {
                  rows(
                      "good\nb\xFF"
                      "ad\n",
                      split);
                }),
                HasSubstr("file.txt:2: is not valid UTF-8"));
  }
}

TEST_F(ReaderTest, Utf16IsRefusedAtLineOne) {
  EXPECT_THAT(error_of([&] { rows(std::string_view("\xFF\xFEh\0i\0", 6), TextSplit::kLine); }),
              HasSubstr("file.txt:1: is not valid UTF-8; convert the file to UTF-8 first"));
}

TEST_F(ReaderTest, ALineLongerThanABlockComesBackWhole) {
  const std::string longer(700'000, 'x');
  EXPECT_THAT(rows(longer + "\nend\n", TextSplit::kLine),
              ElementsAre(Pair(1, longer), Pair(2, "end")));
}

TEST_F(ReaderTest, ALineOverTheLimitIsRefusedAndNeverHeld) {
  const fs::path path = folder_ / "huge.jsonl";
  {
    const auto file = files_.create(path);
    file->append("{}\n");
    const std::string piece(1 << 20, 'a');
    for (int i = 0; i < 100; ++i) {
      file->append(piece);
    }
    file->close();
  }
  LineReader lines(files_, path, 1 << 20);
  std::string line;
  ASSERT_TRUE(lines.next(line));
  EXPECT_THAT(error_of([&] { (void)lines.next(line); }),
              HasSubstr("huge.jsonl:2: the line is longer than 1.0 MiB"));
  EXPECT_LE(line.capacity(), std::size_t{4} << 20);
}

TEST_F(ReaderTest, AParagraphOverTheLimitIsNamedWhereItBegins) {
  const fs::path path = put("file.txt", "one\n\ntwo two\nthree\n");
  const auto reader = open_rows(
      files_, path, {.split = TextSplit::kParagraph, .separator = {}, .max_row_bytes = 10});
  Row row;
  ASSERT_TRUE(reader->next(row));
  EXPECT_THAT(error_of([&] { (void)reader->next(row); }),
              HasSubstr("file.txt:3: the text that begins here is longer than 10 B"));
}

TEST_F(ReaderTest, AMissingFileIsNamed) {
  EXPECT_THAT(error_of([&] { (void)open_rows(files_, folder_ / "none.txt", {}); }),
              HasSubstr("none.txt"));
}

}  // namespace
}  // namespace weft::data
