#include "data/tokenize_fit.h"

#include <gmock/gmock.h>

#include "base/random.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::ElementsAre;

/// A document of ids 0, 1, 2, … whose targets are [first, last].
Document with_targets(int size, int first, int last) {
  Document document;
  document.source = 7;
  for (int i = 0; i < size; ++i) {
    document.ids.push_back(i);
    document.mask.push_back(i >= first && i <= last ? 1 : 0);
  }
  return document;
}

/// What truncating to `max_length` keeps: the first id and the last, and the number of targets.
std::vector<std::int64_t> truncated(const Document& document, std::int64_t max_length) {
  TokenizeOptions options;
  options.max_length = max_length;
  options.overlong = Overlong::kTruncate;
  SourceCounts counts;
  const auto kept = fit_document(document, options, "a:1", counts);
  EXPECT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].source, 7);
  EXPECT_EQ(counts.truncated, 1);
  EXPECT_EQ(counts.tokens_lost, document.size() - kept[0].size());
  EXPECT_EQ(counts.kept.trained_tokens, kept[0].trained_tokens());
  return {kept[0].ids.front(), kept[0].ids.back(), kept[0].trained_tokens()};
}

TEST(Truncation, ATextLosesItsEnd) {
  EXPECT_THAT(truncated(with_targets(100, 1, 99), 10), ElementsAre(0, 9, 9));
}

TEST(Truncation, ALongPromptLosesItsBeginningAndTheAnswerStaysWhole) {
  EXPECT_THAT(truncated(with_targets(100, 90, 98), 20), ElementsAre(79, 98, 9));
  EXPECT_THAT(truncated(with_targets(100, 90, 99), 20), ElementsAre(80, 99, 10));
  // One token before the first target is enough.
  EXPECT_THAT(truncated(with_targets(100, 81, 99), 20), ElementsAre(80, 99, 19));
}

TEST(Truncation, WhatFollowsTheTargetsGoesFirst) {
  EXPECT_THAT(truncated(with_targets(100, 5, 15), 40), ElementsAre(0, 39, 11));
  EXPECT_THAT(truncated(with_targets(100, 25, 35), 30), ElementsAre(6, 35, 11));
}

TEST(Truncation, ALongAnswerLosesItsEndAndKeepsUpToHalfOfMaxLengthBeforeIt) {
  EXPECT_THAT(truncated(with_targets(200, 5, 199), 20), ElementsAre(0, 19, 15));
  EXPECT_THAT(truncated(with_targets(200, 100, 199), 20), ElementsAre(90, 109, 10));
  EXPECT_THAT(truncated(with_targets(200, 80, 99), 20), ElementsAre(70, 89, 10));
}

TEST(Truncation, OfAnyDocumentWithTargetsSomeStayWithATokenBeforeThem) {
  Random random(5);
  for (int round = 0; round < 5'000; ++round) {
    Document document = random_document(random, 3 + static_cast<std::int64_t>(random.below(60)));
    for (auto& bit : document.mask) {
      bit = bit != 0 && random.below(8) == 0 ? 1 : 0;
    }
    const std::int64_t max_length = 2 + static_cast<std::int64_t>(random.below(20));
    if (document.trained_tokens() == 0 || document.size() <= max_length) {
      continue;
    }
    TokenizeOptions options;
    options.max_length = max_length;
    options.overlong = Overlong::kTruncate;
    SourceCounts counts;
    const auto kept = fit_document(document, options, "a:1", counts);
    ASSERT_EQ(kept.size(), 1u);
    ASSERT_LE(kept[0].size(), max_length);
    ASSERT_GE(kept[0].trained_tokens(), 1);
    ASSERT_EQ(kept[0].mask[0], 0);
  }
}

TEST(Fit, DocumentsWithoutATargetAreDroppedBeforeTheyAreMeasured) {
  TokenizeOptions options;
  options.max_length = 10;
  options.overlong = Overlong::kError;
  SourceCounts counts;
  EXPECT_TRUE(fit_document(with_targets(20, 50, 50), options, "a:1", counts).empty());
  EXPECT_EQ(counts.no_target, 1);
  EXPECT_EQ(counts.tokens_lost, 20);
  EXPECT_EQ(counts.first_dropped, "a:1: no token of it is a target");
}

TEST(Fit, TheFirstRowDroppedIsRemembered) {
  TokenizeOptions options;
  options.max_length = 10;
  options.overlong = Overlong::kDrop;
  SourceCounts counts;
  (void)fit_document(with_targets(20, 1, 5), options, "a:3", counts);
  (void)fit_document({}, options, "a:4", counts);
  EXPECT_EQ(counts.first_dropped, "a:3: 20 tokens, over max_length");
}

}  // namespace
}  // namespace weft::data
