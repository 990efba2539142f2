#include "data/loader.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <map>
#include <stdexcept>
#include <thread>

#include "data/loader_prefetch.h"
#include "data/tokenize_fit.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LoaderTest : public FolderTest {
 protected:
  std::shared_ptr<const ShardSet> make_set(const std::string& name,
                                           const std::vector<Document>& documents,
                                           const ShardOptions& options = {.shard_tokens = 700}) {
    write_shards(files_, folder_ / name, documents, options);
    return std::make_shared<ShardSet>(files_, folder_ / name);
  }
};

/// The documents of a batch, in order.
std::vector<std::pair<std::vector<std::int32_t>, std::vector<std::uint8_t>>> split(
    const MicroBatch& batch) {
  std::vector<std::pair<std::vector<std::int32_t>, std::vector<std::uint8_t>>> documents;
  for (std::size_t i = 0; i + 1 < batch.cu_seqlens.size(); ++i) {
    const auto begin = batch.cu_seqlens[i];
    const auto end = batch.cu_seqlens[i + 1];
    documents.emplace_back(std::vector(batch.tokens.begin() + begin, batch.tokens.begin() + end),
                           std::vector(batch.mask.begin() + begin, batch.mask.begin() + end));
  }
  return documents;
}

std::vector<LoaderOptions> all_modes() {
  std::vector<LoaderOptions> modes;
  for (const bool packing : {false, true}) {
    for (const bool shuffle : {false, true}) {
      modes.push_back(
          {.max_length = 80, .batch_size = 3, .packing = packing, .shuffle = shuffle, .seed = 11});
    }
  }
  return modes;
}

TEST_F(LoaderTest, EveryDocumentOfEverySetIsInEachEpochOnce) {
  const auto first = random_documents(1, 70, 80);
  const auto second = random_documents(2, 41, 80);
  const std::vector sets{make_set("a", first), make_set("b", second)};
  std::map<std::pair<std::vector<std::int32_t>, std::vector<std::uint8_t>>, int> expected;
  for (const auto* const documents : {&first, &second}) {
    for (const Document& document : *documents) {
      ++expected[{document.ids, document.mask}];
    }
  }
  for (const LoaderOptions& options : all_modes()) {
    Loader loader(sets, options);
    EXPECT_EQ(loader.documents(), 111);
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      std::remove_const_t<decltype(expected)> seen;
      for (std::int64_t b = 0; b < loader.batches_in_epoch(epoch); ++b) {
        EXPECT_EQ(loader.state(), (LoaderState{epoch, b}));
        for (const auto& document : split(loader.next())) {
          ++seen[document];
        }
      }
      EXPECT_EQ(seen, expected) << "packing " << options.packing << " shuffle " << options.shuffle;
      EXPECT_EQ(loader.state(), (LoaderState{epoch + 1, 0}));
    }
  }
}

TEST_F(LoaderTest, ABatchDescribesItself) {
  const auto set = make_set("a", {{.ids = {1, 2, 3}, .mask = {0, 1, 1}},
                                  {.ids = {4}, .mask = {0}},
                                  {.ids = {5, 6}, .mask = {0, 1}}});
  Loader loader({set}, {.max_length = 3, .batch_size = 2, .packing = true, .shuffle = false});
  EXPECT_EQ(loader.next(), (MicroBatch{.tokens = {1, 2, 3, 4, 5, 6},
                                       .mask = {0, 1, 1, 0, 0, 1},
                                       .cu_seqlens = {0, 3, 4, 6},
                                       .max_seqlen = 3,
                                       .trained_tokens = 3}));
}

TEST_F(LoaderTest, ABatchMayHaveNoTarget) {
  const auto set = make_set("a", {{.ids = {4}, .mask = {0}}, {.ids = {5, 6}, .mask = {0, 1}}});
  Loader loader({set}, {.max_length = 8, .batch_size = 1, .packing = false, .shuffle = false});
  EXPECT_EQ(loader.next().trained_tokens, 0);
  EXPECT_EQ(loader.next().trained_tokens, 1);
}

TEST_F(LoaderTest, ResumingAnywhereGoesOnAsTheUninterruptedRun) {
  const auto set = make_set("a", random_documents(3, 60, 80));
  for (const LoaderOptions& options : all_modes()) {
    Loader whole({set}, options);
    std::vector<LoaderState> states;
    std::vector<MicroBatch> batches;
    while (whole.state().epoch < 3) {
      states.push_back(whole.state());
      batches.push_back(whole.next());
    }
    for (std::size_t start = 0; start < states.size(); start += 5) {
      Loader resumed({set}, options, states[start]);
      for (std::size_t i = start; i < std::min(start + 12, batches.size()); ++i) {
        ASSERT_EQ(resumed.state(), states[i]);
        ASSERT_EQ(resumed.next(), batches[i]) << "start " << start << " batch " << i;
      }
    }
  }
}

TEST_F(LoaderTest, TheEndOfAnEpochIsTheBeginningOfTheNext) {
  const auto set = make_set("a", random_documents(4, 10, 80));
  const LoaderOptions options = all_modes()[3];
  Loader loader({set}, options);
  const LoaderState end{.epoch = 0, .batch = loader.batches_in_epoch(0)};
  Loader at_end({set}, options, end);
  EXPECT_EQ(at_end.state(), (LoaderState{.epoch = 1, .batch = 0}));
}

TEST_F(LoaderTest, TheOrderOfShufflingOffIsTheDatas) {
  const auto documents = random_documents(5, 30, 80);
  Loader loader({make_set("a", documents)}, all_modes()[0]);
  std::size_t next = 0;
  for (std::int64_t b = 0; b < loader.batches_in_epoch(0); ++b) {
    for (const auto& document : split(loader.next())) {
      EXPECT_EQ(document.first, documents[next++].ids);
    }
  }
  EXPECT_EQ(next, documents.size());
}

TEST_F(LoaderTest, DocumentsOverMaxLengthAreCutAndCounted) {
  const auto documents = random_documents(6, 40, 80);
  const auto longer = std::count_if(documents.begin(), documents.end(),
                                    [](const Document& d) { return d.size() > 20; });
  testing::internal::CaptureStderr();
  Loader loader({make_set("a", documents)},
                {.max_length = 20, .batch_size = 2, .packing = false, .shuffle = false});
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr(fmt::format("{} of 40 documents are longer than max_length 20 and are cut",
                                    longer)));
  EXPECT_EQ(loader.overlong_documents(), longer);
  std::int64_t tokens = 0;
  std::size_t next = 0;
  for (std::int64_t b = 0; b < loader.batches_in_epoch(0); ++b) {
    const MicroBatch batch = loader.next();
    tokens += static_cast<std::int64_t>(batch.tokens.size());
    EXPECT_LE(batch.max_seqlen, 20);
    for (const auto& document : split(batch)) {
      const Document& whole = documents[next++];
      const auto begin =
          whole.ids.begin() + (whole.size() > 20 ? truncation_begin(whole.mask, 20) : 0);
      EXPECT_EQ(document.first,
                std::vector<std::int32_t>(begin, begin + std::min<std::int64_t>(whole.size(), 20)));
    }
  }
  EXPECT_EQ(tokens, loader.tokens());
}

TEST_F(LoaderTest, NoDocumentsIsAnError) {
  EXPECT_EQ(error_of([] { Loader({}, {.max_length = 8}); }), "the datasets hold no document");
}

TEST_F(LoaderTest, OptionsOutOfRangeAreConfigErrors) {
  const auto set = make_set("a", random_documents(7, 3, 8));
  const auto make = [&](std::int64_t length, std::int64_t size) {
    return error_of([&] { Loader({set}, {.max_length = length, .batch_size = size}); },
                    ErrorKind::kConfig);
  };
  EXPECT_THAT(make(0, 1), HasSubstr("max_length 0 and batch size 1: each must be at least 1"));
  EXPECT_THAT(make(1, -1), HasSubstr("batch size -1"));
  EXPECT_THAT(make(std::int64_t{1} << 31, 1), HasSubstr("their product below 2^31"));
  EXPECT_THAT(make(std::int64_t{1} << 20, std::int64_t{1} << 62), HasSubstr("below 2^31"));
}

TEST_F(LoaderTest, AStateOutsideTheEpochIsRefused) {
  const auto set = make_set("a", random_documents(8, 9, 8));
  const LoaderOptions options{.max_length = 8, .batch_size = 3, .packing = false};
  EXPECT_EQ(error_of([&] { Loader({set}, options, {.epoch = 2, .batch = 4}); }),
            "cannot go on at batch 4 of epoch 2, which has 3: the data, max_length, the batch size "
            "or packing changed since that state was saved");
  EXPECT_THAT(error_of([&] { Loader({set}, options, {.epoch = -1, .batch = 0}); }),
              HasSubstr("epoch -1"));
}

TEST_F(LoaderTest, AnErrorOnTheThreadArrivesWithItsCauseAtItsBatchAndStays) {
  const auto documents = random_documents(9, 40, 3000);
  write_shards(files_, folder_ / "a", documents, {.shard_tokens = 1 << 20, .compress = true});
  ShardSetOptions unread;
  unread.verify = false;  // what was read once may still be in memory
  const auto set = std::make_shared<ShardSet>(files_, folder_ / "a", unread);
  const fs::path path = folder_ / "a" / "shard-00000.h5";
  // Damaged after it was opened, as by a failing disk.
  std::string bytes = read_file(files_, path);
  std::fill(bytes.begin() + 4096, bytes.begin() + 8192, '\xAA');
  {
    std::FILE* const file = std::fopen(path.c_str(), "r+b");
    ASSERT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
    ASSERT_EQ(std::fclose(file), 0);
  }
  Loader loader({set}, {.max_length = 3000, .batch_size = 1, .packing = false});
  const auto read_all = [&] {
    for (int i = 0; i < 50; ++i) {
      (void)loader.next();
    }
  };
  const std::string message = error_of(read_all);
  EXPECT_THAT(message, HasSubstr("shard-00000.h5: cannot read the data: the file is damaged"));
  EXPECT_THAT(message, HasSubstr("(HDF5: "));
  EXPECT_EQ(error_of(read_all), message);
}

TEST(Prefetcher, GivesWhatWasReadBeforeTheErrorFirst) {
  int made = 0;
  Prefetcher<MicroBatch> prefetcher(
      [&made]() -> MicroBatch {
        if (made == 3) {
          throw std::runtime_error("disk on fire");
        }
        MicroBatch batch;
        batch.tokens = {made++};
        return batch;
      },
      8);
  for (std::int32_t i = 0; i < 3; ++i) {
    EXPECT_THAT(prefetcher.next().tokens, ElementsAre(i));
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_THROW((void)prefetcher.next(), std::runtime_error);
  }
}

TEST(Prefetcher, ReadsAheadNoFurtherThanItsDepth) {
  std::atomic<int> made{0};
  Prefetcher<MicroBatch> prefetcher(
      [&made]() -> MicroBatch {
        ++made;
        return {};
      },
      2);
  (void)prefetcher.next();
  for (int i = 0; i < 200 && made < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(made, 3);
}

TEST_F(LoaderTest, CanBeDestroyedAtAnyMoment) {
  const auto set = make_set("a", random_documents(10, 200, 80));
  for (int taken = 0; taken < 20; ++taken) {
    Loader loader({set}, all_modes()[3]);
    for (int i = 0; i < taken; ++i) {
      (void)loader.next();
    }
  }
}

}  // namespace
}  // namespace weft::data
