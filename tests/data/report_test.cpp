#include "data/report.h"

#include <gmock/gmock.h>

#include "data/ids_tokenizer.h"
#include "data/tokenize.h"
#include "shard_test_support.h"
#include "tokenize_test_support.h"

namespace weft::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(DocumentStatistics, PercentilesAreNearestRanks) {
  DocumentStatistics statistics;
  for (std::int64_t length = 1; length <= 100; ++length) {
    statistics.add(length, length / 2);
  }
  EXPECT_EQ(statistics.length_percentile(0), 1);
  EXPECT_EQ(statistics.length_percentile(50), 50);
  EXPECT_EQ(statistics.length_percentile(99), 99);
  EXPECT_EQ(statistics.length_percentile(100), 100);
  EXPECT_DOUBLE_EQ(statistics.mean_length(), 50.5);
  EXPECT_EQ(DocumentStatistics().length_percentile(50), 0);
}

TEST(DocumentStatistics, TheShareOfTargetsFallsIntoTenths) {
  DocumentStatistics statistics;
  for (const std::int64_t trained : {1, 9, 10, 55, 100}) {
    statistics.add(100, trained);
  }
  EXPECT_THAT(statistics.trained_share, ElementsAre(2, 1, 0, 0, 0, 1, 0, 0, 0, 1));
}

TEST(DocumentStatistics, BarsCoverAllLengthsOnceWhateverTheyAre) {
  Random random(3);
  for (int round = 0; round < 200; ++round) {
    DocumentStatistics statistics;
    const std::uint64_t scale = std::uint64_t{1} << random.below(20);
    const auto count = static_cast<int>(1 + random.below(50));
    for (int i = 0; i < count; ++i) {
      statistics.add(1 + static_cast<std::int64_t>(random.below(scale)), 1);
    }
    if (random.below(2) == 0) {
      for (int i = 0; i < 5000; ++i) statistics.add(3, 1);
      statistics.add(1'000'000, 1);
    }
    const auto bars = statistics.length_histogram();
    ASSERT_LE(bars.size(), 22u);
    std::int64_t documents = 0;
    for (std::size_t i = 0; i < bars.size(); ++i) {
      ASSERT_EQ(bars[i].from, i == 0 ? 0 : bars[i - 1].to + 1);
      std::int64_t inside = 0;
      for (const auto& [length, number] : statistics.lengths) {
        inside += length >= bars[i].from && length <= bars[i].to ? number : 0;
      }
      ASSERT_EQ(bars[i].documents, inside);
      documents += bars[i].documents;
    }
    ASSERT_EQ(documents, statistics.counts.documents);
  }
}

class ReportTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    inputs_.resize(2);
    inputs_[0].path = put("a.txt", "one\ntwo\nthree\nfour\nfive\n");
    inputs_[1].path = put("b.jsonl",
                          "{\"ids\": [], \"labels\": []}\n"
                          "{\"ids\": [1, 2, 3], \"labels\": [-100, -100, 3]}\n");
    TokenizeOptions options;
    options.model = "models/x";
    (void)tokenize_to_shards(files_, inputs_, ByteTokenizer(), options, out());
  }

  [[nodiscard]] fs::path out() const { return folder_ / "shards"; }

  std::vector<TokenizeInput> inputs_;
};

TEST_F(ReportTest, TheFileHoldsCountsLengthsAndShares) {
  const Json json = read_json(files_, out() / kReportName);
  EXPECT_EQ(json["format"], "weft.report");
  EXPECT_EQ(json["documents"], 6);
  EXPECT_EQ(json["sources"][0]["rows"], 5);
  EXPECT_EQ(json["sources"][0]["lengths"]["p50"], 5);
  EXPECT_EQ(json["sources"][0]["lengths"]["max"], 6);
  EXPECT_EQ(json["sources"][1]["empty"], 1);
  EXPECT_EQ(json["sources"][1]["dropped"], 1);
  EXPECT_THAT(json["sources"][1]["first_dropped"].get<std::string>(),
              HasSubstr("b.jsonl:1: it is empty"));
  EXPECT_EQ(json["sources"][1]["trained_share"]["histogram"][3], 1);
  EXPECT_EQ(reported_model(files_, out()), "models/x");
  fs::remove(out() / kReportName);
  EXPECT_EQ(reported_model(files_, out()), "");
}

TEST_F(ReportTest, ShowsTheFirstTheMiddleAndTheLastDocumentOfEachSource) {
  const ShardSet set(files_, out());
  const Report report = make_report(set, ByteTokenizer(), "");
  std::vector<std::int64_t> numbers;
  for (const ReportSample& sample : report.samples) {
    numbers.push_back(sample.document);
  }
  EXPECT_THAT(numbers, ElementsAre(0, 2, 4, 5));
  EXPECT_EQ(report.samples[1].pieces[0].text + report.samples[1].pieces[1].text, "three");
}

TEST_F(ReportTest, WithoutATokenizerForTextTheSamplesAreIds) {
  const ShardSet set(files_, out());
  const auto ids = make_ids_tokenizer(259, "nowhere");
  const Report report = make_report(set, *ids, "");
  EXPECT_EQ(report.samples[3].pieces[0].text, "1 2 ");
  EXPECT_THAT(report_html(report), HasSubstr("<span class=\"target\">3 </span>"));
}

SourceCounts counts_of(std::int64_t rows) {
  SourceCounts counts;
  counts.path = "x.jsonl";
  counts.rows = rows;
  return counts;
}

TEST(ReportWarnings, NameTheLikelyMistake) {
  const auto warnings = [](const SourceCounts& source) { return report_warnings({source}, {}); };
  SourceCounts good = counts_of(100);
  good.kept = {.documents = 100, .tokens = 1000, .trained_tokens = 500};
  EXPECT_THAT(warnings(good), IsEmpty());
  SourceCounts masked = good;
  masked.no_target = masked.dropped = 60;
  EXPECT_THAT(warnings(masked),
              ElementsAre("x.jsonl: 60 of 100 rows (60.0%) were dropped (60 without a target): no "
                          "token of most is a target; do the chats end with an assistant message, "
                          "and are the roles and field names right?"));
  SourceCounts longer = good;
  longer.overlong_dropped = longer.dropped = 20;
  EXPECT_THAT(warnings(longer),
              ElementsAre(HasSubstr("most are longer than max_length; raise it")));
  SourceCounts empty = good;
  empty.empty = empty.dropped = 20;
  EXPECT_THAT(warnings(empty), ElementsAre(HasSubstr("is the right field read (text_field,")));
  SourceCounts cut = good;
  cut.truncated = 50;
  EXPECT_THAT(warnings(cut), ElementsAre(HasSubstr("50 of 100 rows (50.0%) are longer than "
                                                   "max_length and were cut")));
  SourceCounts repeated = good;
  repeated.duplicates = 30;
  EXPECT_THAT(warnings(repeated), ElementsAre(HasSubstr("30 of 100 rows (30.0%) repeat")));
  SourceCounts few = good;
  few.kept.trained_tokens = 5;
  EXPECT_THAT(warnings(few), ElementsAre(HasSubstr("only 0.5% of the tokens are targets")));
  EXPECT_THAT(warnings(counts_of(0)), ElementsAre(HasSubstr("holds no rows")));
}

TEST(Losses, AreMeasuredAgainstTheRowsThatWereWanted) {
  SourceCounts source = counts_of(100);
  source.left_out = 50;
  source.duplicates = 30;
  source.dropped = source.empty = 10;
  EXPECT_DOUBLE_EQ(dropped_fraction(source), 0.5);
  EXPECT_NO_THROW(check_losses({source}, {.max_dropped_fraction = 0.5}));
  EXPECT_THAT(error_of([&] { check_losses({source}, {.max_dropped_fraction = 0.49}); }),
              HasSubstr("50.0% of its 100 rows were dropped (10 empty)"));
}

TEST(Losses, EverythingDroppedIsAnErrorUnlessSaidOtherwise) {
  SourceCounts source = counts_of(10);
  source.dropped = source.no_target = 10;
  EXPECT_THAT(error_of([&] { check_losses({source}, {}); }),
              HasSubstr("max_dropped_fraction 0.99"));
  EXPECT_NO_THROW(check_losses({source}, {.max_dropped_fraction = 1}));
  EXPECT_THAT(error_of([&] { check_losses({counts_of(0)}, {}); }), HasSubstr("holds no rows"));
  EXPECT_NO_THROW(check_losses({counts_of(0)}, {.max_dropped_fraction = 1}));
}

}  // namespace
}  // namespace weft::data
