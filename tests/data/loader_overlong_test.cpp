// Shards may hold documents over the run's max_length: each choice of what becomes of them.
#include <gmock/gmock.h>

#include "data/loader.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;

class LoaderOverlongTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (const char* const name : {"a", "b"}) {
      write_shards(files_, folder_ / name,
                   {{.ids = {1, 2}, .mask = {0, 1}},
                    {.ids = {3, 4, 5, 6, 7, 8, 9}, .mask = {0, 1, 1, 1, 1, 1, 1}},
                    {.ids = {10, 11, 12}, .mask = {0, 1, 1}}});
      sets_.push_back(std::make_shared<ShardSet>(files_, folder_ / name));
    }
  }

  [[nodiscard]] LoaderOptions options(Overlong overlong) const {
    return {
        .max_length = 3, .batch_size = 1, .packing = false, .shuffle = false, .overlong = overlong};
  }

  /// All batches of an epoch, and what was logged.
  std::vector<MicroBatch> epoch(Overlong overlong) {
    testing::internal::CaptureStderr();
    Loader loader(sets_, options(overlong));
    log_ = testing::internal::GetCapturedStderr();
    EXPECT_EQ(loader.overlong_documents(), 2);
    std::vector<MicroBatch> batches;
    std::int64_t tokens = 0;
    for (std::int64_t b = loader.batches_in_epoch(0); b > 0; --b) {
      batches.push_back(loader.next());
      tokens += std::ssize(batches.back().tokens);
    }
    EXPECT_EQ(tokens, loader.tokens());
    return batches;
  }

  std::vector<std::shared_ptr<const ShardSet>> sets_;
  std::string log_;
};

std::vector<std::vector<std::int32_t>> tokens_of(const std::vector<MicroBatch>& batches) {
  std::vector<std::vector<std::int32_t>> tokens;
  for (const MicroBatch& batch : batches) {
    tokens.push_back(batch.tokens);
  }
  return tokens;
}

using Tokens = std::vector<std::vector<std::int32_t>>;

TEST_F(LoaderOverlongTest, Truncate) {
  EXPECT_EQ(tokens_of(epoch(Overlong::kTruncate)),
            (Tokens{{1, 2}, {3, 4, 5}, {10, 11, 12}, {1, 2}, {3, 4, 5}, {10, 11, 12}}));
  EXPECT_THAT(log_, HasSubstr("2 of 6 documents are longer than max_length 3 and are cut to it"));
}

TEST_F(LoaderOverlongTest, TruncateKeepsWhatIsTrained) {
  write_shards(files_, folder_ / "c",
               {{.ids = {1, 2, 3}, .mask = {0, 1, 1}},
                {.ids = {3, 4, 5, 6, 7, 8, 9}, .mask = {0, 0, 0, 0, 0, 1, 0}},
                {.ids = {10, 11, 12, 13}, .mask = {0, 0, 0, 0}},
                {.ids = {20, 21, 22, 23, 24, 25}, .mask = {0, 0, 0, 1, 1, 1}}});
  sets_ = {std::make_shared<ShardSet>(files_, folder_ / "c"), sets_[0]};
  Loader loader(sets_, options(Overlong::kTruncate));
  Tokens tokens;
  for (std::int64_t b = loader.batches_in_epoch(0); b > 0; --b) {
    const MicroBatch batch = loader.next();
    EXPECT_EQ(batch.mask[0], 0);
    tokens.push_back(batch.tokens);
  }
  EXPECT_EQ(
      tokens,
      (Tokens{{1, 2, 3}, {6, 7, 8}, {10, 11, 12}, {22, 23, 24}, {1, 2}, {3, 4, 5}, {10, 11, 12}}));
}

TEST_F(LoaderOverlongTest, SplitKeepsEveryTokenAndMasksThePiecesFirst) {
  const auto batches = epoch(Overlong::kSplit);
  EXPECT_EQ(tokens_of(batches), (Tokens{{1, 2},
                                        {3, 4, 5},
                                        {6, 7, 8},
                                        {9},
                                        {10, 11, 12},
                                        {1, 2},
                                        {3, 4, 5},
                                        {6, 7, 8},
                                        {9},
                                        {10, 11, 12}}));
  EXPECT_EQ(batches[2].mask, (std::vector<std::uint8_t>{0, 1, 1}));
  EXPECT_EQ(batches[2].trained_tokens, 2);
  EXPECT_EQ(batches[3].mask, (std::vector<std::uint8_t>{0}));
  EXPECT_THAT(log_, HasSubstr("are split at it"));
}

TEST_F(LoaderOverlongTest, Drop) {
  EXPECT_EQ(tokens_of(epoch(Overlong::kDrop)),
            (Tokens{{1, 2}, {10, 11, 12}, {1, 2}, {10, 11, 12}}));
  EXPECT_THAT(log_, HasSubstr("are left out"));
}

TEST_F(LoaderOverlongTest, Error) {
  EXPECT_THAT(error_of([&] { Loader(sets_, options(Overlong::kError)); }),
              HasSubstr("a: document 1 has 7 tokens, max_length is 3; raise max_length or set"));
}

TEST_F(LoaderOverlongTest, NothingLeftIsAnError) {
  LoaderOptions one = options(Overlong::kDrop);
  one.max_length = 1;
  EXPECT_EQ(error_of([&] { Loader(sets_, one); }),
            "the datasets hold no document of at most max_length 1 tokens");
}

}  // namespace
}  // namespace weft::data
