// Datasets mixed by weight, as a run reads them.
#include <gmock/gmock.h>

#include <map>

#include "data/loader.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;

class LoaderMixtureTest : public FolderTest {
 protected:
  /// A set of `count` documents, each a token that no other document has, of random length.
  void add_set(int count) {
    Random random(static_cast<std::uint64_t>(sets_.size()));
    std::vector<Document> documents;
    for (int i = 0; i < count; ++i) {
      Document document = random_document(random, 1 + static_cast<std::int64_t>(random.below(20)));
      document.ids[0] = next_++;
      documents.push_back(document);
    }
    const fs::path path = folder_ / std::to_string(sets_.size());
    write_shards(files_, path, documents, {.shard_tokens = 100});
    sets_.push_back(std::make_shared<ShardSet>(files_, path));
    ends_.push_back(next_);
  }

  /// Documents of each set in the batches given.
  [[nodiscard]] std::vector<int> count(const std::vector<MicroBatch>& batches) const {
    std::vector<int> counts(ends_.size(), 0);
    for (const MicroBatch& batch : batches) {
      for (std::size_t d = 0; d + 1 < batch.cu_seqlens.size(); ++d) {
        const std::int32_t id = batch.tokens[static_cast<std::size_t>(batch.cu_seqlens[d])];
        ++counts[static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), id) -
                                          ends_.begin())];
      }
    }
    return counts;
  }

  std::vector<std::shared_ptr<const ShardSet>> sets_;
  std::vector<std::int32_t> ends_;
  std::int32_t next_ = 0;
};

const LoaderOptions kMixed{
    .max_length = 20, .batch_size = 2, .seed = 4, .weights = {0.5, 0.3, 0.2}};

TEST_F(LoaderMixtureTest, EveryEpochHasExactlyItsSharesAtEveryNumberOfRanks) {
  add_set(20);
  add_set(60);
  add_set(170);
  std::vector<MicroBatch> alone;
  Loader loader(sets_, kMixed);
  for (std::int64_t epoch = 0; epoch < 4; ++epoch) {
    std::vector<MicroBatch> batches;
    for (std::int64_t b = loader.batches_in_epoch(epoch); b > 0; --b) {
      batches.push_back(loader.next());
    }
    EXPECT_EQ(count(batches), (std::vector<int>{125, 75, 50})) << "epoch " << epoch;
    alone.insert(alone.end(), batches.begin(), batches.end());
  }
  for (const std::int64_t ranks : {2, 3, 4, 8}) {
    LoaderOptions options = kMixed;
    options.world_size = ranks;
    std::vector<std::unique_ptr<Loader>> loaders;
    for (options.rank = 0; options.rank < ranks; ++options.rank) {
      loaders.push_back(std::make_unique<Loader>(sets_, options));
    }
    for (std::size_t i = 0; i < alone.size(); ++i) {
      ASSERT_EQ(loaders[i % loaders.size()]->next(), alone[i]) << ranks << " ranks, batch " << i;
    }
  }
}

TEST_F(LoaderMixtureTest, ResumesAnywhereWithTwoIntegers) {
  add_set(7);
  add_set(40);
  add_set(3);
  Loader whole(sets_, kMixed);
  std::vector<LoaderState> states;
  std::vector<MicroBatch> batches;
  while (whole.state().epoch < 4) {
    states.push_back(whole.state());
    batches.push_back(whole.next());
  }
  for (std::size_t start = 0; start < states.size(); start += 3) {
    Loader resumed(sets_, kMixed, states[start]);
    for (std::size_t i = start; i < std::min(start + 10, batches.size()); ++i) {
      ASSERT_EQ(resumed.next(), batches[i]) << "start " << start << " batch " << i;
    }
  }
}

TEST_F(LoaderMixtureTest, WeightsThatCannotBeHadAreRefused) {
  add_set(7);
  add_set(40);
  const auto with = [&](std::vector<double> weights, ErrorKind kind = ErrorKind::kConfig) {
    return error_of([&] { Loader(sets_, {.max_length = 20, .weights = weights}); }, kind);
  };
  EXPECT_EQ(with({1}), "1 weights for 2 datasets: give each its weight, or none");
  EXPECT_EQ(with({1, 0}), "weight 0: expected a number above 0");
  EXPECT_THAT(with({1, -1}), HasSubstr("weight -1"));
  EXPECT_THAT(with({1, std::nan("")}), HasSubstr("weight nan"));
  EXPECT_THAT(with({1000, 1}), HasSubstr("1: weight 1 gives it no document of an epoch of 47"));
}

TEST_F(LoaderMixtureTest, ADatasetWithoutADocumentLeftIsRefused) {
  Random random(1);
  write_shards(files_, folder_ / "long", {random_document(random, 30)});
  sets_.push_back(std::make_shared<ShardSet>(files_, folder_ / "long"));
  add_set(10);
  EXPECT_THAT(error_of([&] {
                Loader(sets_, {.max_length = 25, .overlong = Overlong::kDrop, .weights = {1, 1}});
              }),
              HasSubstr("long: has a weight, but no document to give"));
}

}  // namespace
}  // namespace weft::data
