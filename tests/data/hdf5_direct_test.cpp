// Reading past the library gives what the library gives, and fails as clearly.
#include "data/hdf5_direct.h"

#include <gmock/gmock.h>

#include <numeric>

#include "data/hdf5_values.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;

class Hdf5DirectTest : public FolderTest {
 protected:
  /// A file with one dataset of `count` values, in several chunks of 64 Ki.
  Hdf5Handle make_file(std::int64_t count, bool compress) {
    path_ = folder_ / (compress ? "gzip.h5" : "plain.h5");
    values_.resize(static_cast<std::size_t>(count));
    std::iota(values_.begin(), values_.end(), 7);
    const Hdf5Handle image = create_hdf5_image(path_);
    write_hdf5_vector(image, "v", std::span<const std::int32_t>(values_), compress, path_);
    const std::vector<std::byte> bytes = hdf5_image(image, path_);
    put(path_.filename(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return open_hdf5_file(path_);
  }

  fs::path path_;
  std::vector<std::int32_t> values_;
};

TEST_F(Hdf5DirectTest, AnyRangeIsWhatWasWritten) {
  const Hdf5Handle file = make_file(300'000, false);
  const auto vector = open_hdf5_vector<std::int32_t>(file, "v", path_);
  EXPECT_FALSE(vector.filtered);
  const Hdf5Direct direct = Hdf5Direct::map(file, vector, sizeof(std::int32_t), path_);
  ASSERT_TRUE(direct.usable());
  Random random(1);
  for (int i = 0; i < 500; ++i) {
    const std::uint64_t begin = random.below(300'000);
    std::vector<std::int32_t> got(1 + random.below(300'000 - begin));
    direct.read(static_cast<std::int64_t>(begin), std::ssize(got), got.data(), path_);
    ASSERT_TRUE(
        std::equal(got.begin(), got.end(), values_.begin() + static_cast<std::ptrdiff_t>(begin)))
        << begin << " + " << got.size();
  }
}

TEST_F(Hdf5DirectTest, CompressedDataGoThroughTheLibraryAndEachChunkIsKept) {
  const Hdf5Handle file = make_file(300'000, true);
  const Hdf5Values<std::int32_t> values(file, "v", path_);
  EXPECT_TRUE(values.vector().filtered);
  EXPECT_FALSE(Hdf5Direct::map(file, values.vector(), sizeof(std::int32_t), path_).usable());
  AscendingReader reader(values, path_);
  Random random(2);
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t begin = random.below(300'000);
    std::vector<std::int32_t> got(1 +
                                  random.below(std::min<std::uint64_t>(90'000, 300'000 - begin)));
    reader.read(static_cast<std::int64_t>(begin), got);
    ASSERT_TRUE(
        std::equal(got.begin(), got.end(), values_.begin() + static_cast<std::ptrdiff_t>(begin)));
  }
}

TEST_F(Hdf5DirectTest, AFileCutShortWhileOpenIsAnError) {
  const Hdf5Handle file = make_file(300'000, false);
  const Hdf5Values<std::int32_t> values(file, "v", path_);
  fs::resize_file(path_, 600'000);
  std::vector<std::int32_t> got(300'000);
  EXPECT_THAT(
      error_of([&] { values.read(0, got, path_); }),
      HasSubstr("plain.h5: cannot read the data: the file was cut short while it was in use"));
}

TEST_F(Hdf5DirectTest, ASetReadsPartsInAnyOrderFromEveryKindOfShard) {
  const std::vector<Document> documents = random_documents(3, 300, 900);
  for (const bool compress : {false, true}) {
    const fs::path folder = folder_ / (compress ? "gzip" : "plain");
    write_shards(files_, folder, documents, {.shard_tokens = 20'000, .compress = compress});
    const ShardSet set(files_, folder);
    EXPECT_EQ(set.compressed(), compress);
    Random random(4);
    std::vector<DocumentRead> reads;
    std::vector<Document> expected;
    std::vector<Document> got(500);
    for (Document& part : got) {
      const auto index = static_cast<std::int64_t>(random.below(documents.size()));
      const Document& whole = documents[static_cast<std::size_t>(index)];
      const auto begin = static_cast<std::int64_t>(random.below(whole.ids.size()));
      const auto count = 1 + static_cast<std::int64_t>(
                                 random.below(static_cast<std::uint64_t>(whole.size() - begin)));
      expected.push_back(
          {.ids = {whole.ids.begin() + begin, whole.ids.begin() + begin + count},
           .mask = {whole.mask.begin() + begin, whole.mask.begin() + begin + count}});
      part.ids.resize(static_cast<std::size_t>(count));
      part.mask.resize(part.ids.size());
      reads.push_back({.document = index,
                       .begin = begin,
                       .count = count,
                       .ids = part.ids.data(),
                       .mask = part.mask.data()});
    }
    set.read(reads);
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].ids, expected[i].ids);
      EXPECT_EQ(got[i].mask, expected[i].mask);
    }
  }
}

}  // namespace
}  // namespace weft::data
