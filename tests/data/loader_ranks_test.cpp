// What several ranks read is what one rank reads, dealt out.
#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <vector>

#include "base/error.h"
#include "data/loader.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;

/// Loaders of all ranks of a world, called in turns as the ranks of a run do.
class World {
 public:
  World(const std::shared_ptr<const ShardSet>& set, LoaderOptions options, std::int64_t ranks,
        LoaderState start = {}) {
    options.world_size = ranks;
    for (options.rank = 0; options.rank < ranks; ++options.rank) {
      loaders_.push_back(std::make_unique<Loader>(std::vector{set}, options, start));
    }
  }

  /// One batch of each rank, in the order of the ranks; all must then stand at the same place.
  void round(std::vector<MicroBatch>& batches) {
    for (const auto& loader : loaders_) {
      batches.push_back(loader->next());
    }
    for (const auto& loader : loaders_) {
      EXPECT_EQ(loader->state(), state());
    }
  }
  [[nodiscard]] LoaderState state() const { return loaders_[0]->state(); }
  [[nodiscard]] Loader& rank0() { return *loaders_[0]; }

 private:
  std::vector<std::unique_ptr<Loader>> loaders_;
};

class LoaderRanksTest : public FolderTest {
 protected:
  std::shared_ptr<const ShardSet> make_set(std::uint64_t seed, int count) {
    documents_ = random_documents(seed, count, 80);
    write_shards(files_, folder_ / "a", documents_, {.shard_tokens = 700});
    return std::make_shared<ShardSet>(files_, folder_ / "a");
  }

  std::vector<Document> documents_;
};

const LoaderOptions kPacked{.max_length = 80, .batch_size = 3, .seed = 11};
const LoaderOptions kOneByOne{
    .max_length = 80, .batch_size = 3, .packing = false, .shuffle = false};

TEST_F(LoaderRanksTest, RanksDealOutTheSequenceOfOneRankAcrossEpochs) {
  const auto set = make_set(1, 61);
  for (const LoaderOptions& options : {kPacked, kOneByOne}) {
    std::vector<MicroBatch> alone;
    World one(set, options, 1);
    while (alone.size() < 120) {
      one.round(alone);
    }
    EXPECT_GE(one.state().epoch, 4) << "the test must cross the ends of epochs";
    for (const std::int64_t ranks : {2, 3, 4, 8}) {
      World world(set, options, ranks);
      std::vector<MicroBatch> together;
      while (std::ssize(together) < 120) {
        world.round(together);
      }
      EXPECT_EQ(together, alone) << ranks << " ranks";
      EXPECT_EQ(world.state(), one.state()) << ranks << " ranks";
    }
  }
}

TEST_F(LoaderRanksTest, EveryDocumentOfAnEpochIsReadOnceByOneRank) {
  const auto set = make_set(2, 61);
  std::map<std::vector<std::int32_t>, int> expected;
  for (const Document& document : documents_) {
    ++expected[document.ids];
  }
  for (const std::int64_t ranks : {1, 2, 3, 4, 8}) {
    World world(set, kPacked, ranks);
    std::vector<MicroBatch> batches;
    while (world.state().epoch < 3) {
      world.round(batches);
    }
    std::size_t next = 0;
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      std::map<std::vector<std::int32_t>, int> seen;
      const std::size_t end =
          next + static_cast<std::size_t>(world.rank0().batches_in_epoch(epoch));
      for (; next < end; ++next) {
        const MicroBatch& batch = batches.at(next);
        for (std::size_t d = 0; d + 1 < batch.cu_seqlens.size(); ++d) {
          ++seen[{batch.tokens.begin() + batch.cu_seqlens[d],
                  batch.tokens.begin() + batch.cu_seqlens[d + 1]}];
        }
      }
      EXPECT_EQ(seen, expected) << ranks << " ranks, epoch " << epoch;
    }
  }
}

TEST_F(LoaderRanksTest, AStateSavedAtOneNumberOfRanksResumesAtAnother) {
  const auto set = make_set(3, 61);
  std::vector<MicroBatch> alone;
  World one(set, kPacked, 1);
  while (alone.size() < 400) {
    one.round(alone);
  }
  // 24 batches at each number of ranks: 24 is a multiple of all of them, an epoch is not.
  std::vector<MicroBatch> batches;
  LoaderState state;
  for (const std::int64_t ranks : {1, 8, 2, 3, 4, 1, 3, 8, 4, 2, 3}) {
    World world(set, kPacked, ranks, state);
    for (std::int64_t i = 0; i < 24; i += ranks) {
      world.round(batches);
    }
    state = world.state();
  }
  EXPECT_GE(state.epoch, 5);
  alone.resize(batches.size());
  EXPECT_EQ(batches, alone);
}

TEST_F(LoaderRanksTest, AnEpochMayHaveFewerBatchesThanRanks) {
  const auto set = make_set(4, 3);
  std::vector<MicroBatch> alone;
  World one(set, kPacked, 1);
  ASSERT_LT(one.rank0().batches_in_epoch(0), 3);
  while (alone.size() < 32) {
    one.round(alone);
  }
  std::vector<MicroBatch> together;
  World world(set, kPacked, 8);
  while (together.size() < 32) {
    world.round(together);
  }
  EXPECT_EQ(together, alone);
  EXPECT_EQ(world.state(), one.state());
}

TEST_F(LoaderRanksTest, RanksOutOfRangeAreConfigErrors) {
  const auto set = make_set(5, 3);
  const auto make = [&](std::int64_t rank, std::int64_t ranks) {
    return error_of([&] { Loader({set}, {.max_length = 80, .rank = rank, .world_size = ranks}); },
                    ErrorKind::kConfig);
  };
  EXPECT_THAT(make(4, 4), HasSubstr("rank 4 of 4: expected a rank from 0 to one below"));
  EXPECT_THAT(make(-1, 4), HasSubstr("rank -1 of 4"));
  EXPECT_THAT(make(0, 0), HasSubstr("rank 0 of 0"));
}

// As ranks do whose epoch ends in the middle of a round.
TEST_F(LoaderRanksTest, AfterASeekALoaderGoesOnAsANewOneFromThere) {
  const auto set = make_set(3, 61);
  for (const std::int64_t rank : {0, 2}) {
    LoaderOptions options = kPacked;
    options.rank = rank;
    options.world_size = 3;
    Loader sought({set}, options);
    for (int i = 0; i < 2; ++i) {
      (void)sought.next();
    }
    for (const LoaderState start : {LoaderState{1, 0}, LoaderState{0, 2}, LoaderState{4, 1}}) {
      sought.seek(start);
      EXPECT_EQ(sought.state(), start);
      Loader fresh({set}, options, start);
      for (int i = 0; i < 9; ++i) {
        ASSERT_EQ(sought.next(), fresh.next()) << "batch " << i << " of rank " << rank;
        EXPECT_EQ(sought.state(), fresh.state());
      }
    }
    const LoaderState before = sought.state();
    EXPECT_THROW(sought.seek({0, 100000}), Error);
    EXPECT_EQ(sought.state(), before);
    (void)sought.next();
  }
}

}  // namespace
}  // namespace weft::data
