// Token files of Cerebras' Model Zoo: what is written is read back, samples written out by hand are
// read as their layout says, and what cannot be is refused.

#include "data/cerebras.h"

#include <gmock/gmock.h>

#include "data/cerebras_writer.h"
#include "data/hdf5_io.h"
#include "data/reader.h"
#include "data/tokenize.h"
#include "shard_test_support.h"
#include "tokenize_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;

using Ids = std::vector<std::int32_t>;
using Bits = std::vector<std::uint8_t>;

class CerebrasTest : public FolderTest {
 protected:
  void save(const Hdf5Handle& file, const fs::path& path) const {
    const std::vector<std::byte> image = hdf5_image(file, path);
    put(path.filename(), {reinterpret_cast<const char*>(image.data()), image.size()});
  }

  /// Samples written out by hand: one row of `length` values after another.
  fs::path put_samples(const Ids& values, std::int64_t features, std::int64_t length) const {
    const fs::path path = folder_ / "c.h5";
    const Hdf5Handle file = create_hdf5_image(path);
    write_hdf5_table(file, "data", values, features, length, path);
    save(file, path);
    return path;
  }

  fs::path put_stream(const Ids& ids) const {
    const fs::path path = folder_ / "c.h5";
    const Hdf5Handle file = create_hdf5_image(path);
    write_hdf5_vector(file, "data", std::span<const std::int32_t>(ids), true, path);
    save(file, path);
    return path;
  }

  [[nodiscard]] std::vector<CerebrasDocument> read_all(
      const fs::path& path, std::optional<std::int64_t> stream_tokens = {}) const {
    CerebrasReader reader(files_, path, stream_tokens);
    std::vector<CerebrasDocument> documents;
    CerebrasDocument document;
    while (reader.next(document)) {
      documents.push_back(document);
      EXPECT_LE(std::ssize(document.ids), reader.longest());
    }
    EXPECT_EQ(reader.fraction_read(), 1.0);
    return documents;
  }

  [[nodiscard]] std::string refusal(const Ids& values, std::int64_t features,
                                    std::int64_t length) const {
    return error_of([&] { (void)read_all(put_samples(values, features, length)); });
  }
};

TEST_F(CerebrasTest, ASampleIsADocumentWithoutItsPadding) {
  // The first fills the sample; the second ends in the padding's own token; the third is padding.
  const auto documents =
      read_all(put_samples({1,      2, 3, /**/ 0, 1, 1, /**/ 2, 3, 4, /**/ 5, 6, 0, /**/ 1, 1, 0,
                            /**/ 6, 0, 0, 0,      0, 0, /**/ 0, 0, 0, /**/ 0, 0, 0},
                           3, 3));
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[0].ids, (Ids{1, 2, 3, 4}));
  EXPECT_EQ(documents[0].trained, (Bits{0, 0, 1, 1}));
  EXPECT_EQ(documents[1].ids, (Ids{5, 6, 0}));
  EXPECT_EQ(documents[1].trained, (Bits{0, 1, 1}));
  EXPECT_EQ(documents[1].sample, 2);
}

TEST_F(CerebrasTest, PackedSamplesAreCutWherePositionsBeginAnew) {
  const auto documents =
      read_all(put_samples({1,      2, 3, 4, 5, 9, /**/ 1, 1, 1, 1, 1, 0, /**/ 2, 3, 4, 5, 6, 9,
                            /**/ 2, 1, 0, 1, 0, 0, /**/ 0, 1, 2, 0, 1, 0},
                           5, 6));
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[0].ids, (Ids{1, 2, 3}));
  EXPECT_EQ(documents[0].trained, (Bits{0, 1, 1})) << "the next document's token is no target";
  EXPECT_EQ(documents[1].ids, (Ids{4, 5, 6}));
  EXPECT_EQ(documents[1].trained, (Bits{0, 1, 1}));
}

TEST_F(CerebrasTest, AShortUntrainedDocumentAtTheEndIsNoPadding) {
  const auto documents =
      read_all(put_samples({1, 2, 4,      9, 9, /**/ 1, 0, 0,      0, 0, /**/ 2, 4, 5,
                            9, 9, /**/ 1, 0, 0, 0,      0, /**/ 0, 1, 0, 0,      0},
                           5, 5));
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents[0].ids, (Ids{1, 2}));
  EXPECT_EQ(documents[1].ids, (Ids{4, 5}));
  EXPECT_EQ(documents[1].trained, (Bits{0, 0}));
}

TEST_F(CerebrasTest, AnIgnoredLabelAtTheEndIsNoToken) {
  const auto documents = read_all(put_samples({1, 2, 3, /**/ 1, 0, 0, /**/ 2, -100, -100}, 3, 3));
  ASSERT_EQ(documents.size(), 1U);
  EXPECT_EQ(documents[0].ids, (Ids{1, 2, 3}));
  EXPECT_EQ(documents[0].trained, (Bits{0, 1, 0}));
}

TEST_F(CerebrasTest, AnInvertedMaskIsHeeded) {
  for (const char* const section : {"processing", "dataset"}) {
    put("data_params.json", fmt::format("{{\"{}\": {{\"inverted_mask\": true}}}}", section));
    const auto documents = read_all(put_samples({1, 2, 0, /**/ 1, 0, 1, /**/ 2, 3, 0}, 3, 3));
    ASSERT_EQ(documents.size(), 1U);
    EXPECT_EQ(documents[0].ids, (Ids{1, 2, 3}));
    EXPECT_EQ(documents[0].trained, (Bits{0, 0, 1}));
  }
}

TEST_F(CerebrasTest, EveryTokenOfAStreamIsATargetOnce) {
  for (std::int32_t count = 1; count < 12; ++count) {
    Ids ids;
    for (std::int32_t i = 0; i < count; ++i) {
      ids.push_back(i);
    }
    const auto documents = read_all(put_stream(ids), 4);
    Ids targets;
    for (const CerebrasDocument& document : documents) {
      for (std::size_t i = 0; i < document.ids.size(); ++i) {
        if (document.trained[i] != 0) {
          targets.push_back(document.ids[i]);
        }
      }
    }
    EXPECT_EQ(targets, Ids(ids.begin() + 1, ids.end()));
  }
  EXPECT_THAT(error_of(
                  [&] {
                    (void)read_all(put_stream({1, 2, 3}));
                  },
                  ErrorKind::kConfig),
              HasSubstr("stream of 3 tokens without document bounds; set max_length"));
}

TEST_F(CerebrasTest, WhatIsWrittenIsReadBackExactly) {
  Random random(3);
  for (const bool packed : {false, true}) {
    const fs::path folder = folder_ / (packed ? "packed" : "samples");
    files_.make_folders(folder);
    CerebrasWriter writer(files_, folder, {.length = 40, .packed = packed, .vocab_size = 1000});
    std::vector<Document> all;
    for (int sample = 0; sample < 30; ++sample) {
      std::vector<Document> documents;
      std::int64_t tokens = 0;
      do {
        const auto length = 2 + static_cast<std::int64_t>(random.below(packed ? 18 : 39));
        if (!writer.fits(tokens + length)) {
          break;
        }
        tokens += length;
        documents.push_back(random_document(random, length));
        documents.back().mask.back() = 1;  // else the end may be taken for padding
      } while (packed);
      writer.add(documents);
      all.insert(all.end(), documents.begin(), documents.end());
    }
    writer.finish();
    EXPECT_EQ(writer.samples(), 30);
    const auto back = read_all(folder / "output_chunk_00000.h5");
    ASSERT_EQ(back.size(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(back[i].ids, all[i].ids);
      EXPECT_EQ(back[i].trained, all[i].mask);
    }
  }
}

TEST_F(CerebrasTest, WhatCannotBeIsRefused) {
  EXPECT_THAT(refusal({1, 2, /**/ 2, 0, /**/ 2, 3}, 3, 2),
              HasSubstr("sample 1, position 0: the loss mask is 2"));
  EXPECT_THAT(refusal({1, 2, /**/ 1, 1, /**/ 7, 3}, 3, 2),
              HasSubstr("position 0: the label is 7 and the next id 2"));
  EXPECT_THAT(refusal({1, -2, /**/ 0, 1, /**/ 2, 3}, 3, 2), HasSubstr("has the id -2"));
  EXPECT_THAT(refusal({1, 2, /**/ 1, 1, /**/ 2, -3}, 3, 2), HasSubstr("has the id -3"));
  EXPECT_THAT(refusal({1, 2, /**/ 1, 1, /**/ 2, 3, 0, 0}, 4, 2), HasSubstr("shape [1, 4, 2]"));
  EXPECT_THAT(refusal({1, 2, /**/ 1, 1, /**/ 2, 3, /**/ 5, 0, /**/ 0, 0}, 5, 2),
              HasSubstr("no attention span and position"));
  EXPECT_THAT(refusal({1, 2, /**/ 1, 1, /**/ 2, 3, /**/ 1, 0, /**/ 0, 7}, 5, 2),
              HasSubstr("sample 1, position 0: features 4 and 5"));
}

TEST_F(CerebrasTest, OtherFilesAreRefused) {
  put("c.h5", "not HDF5");
  EXPECT_THAT(error_of([&] { (void)read_all(folder_ / "c.h5"); }), HasSubstr("c.h5"));
  write_shards(files_, folder_ / "shards", random_documents(1, 3, 9));
  EXPECT_THAT(
      error_of([&] { (void)read_all(folder_ / "shards/shard-00000.h5"); }, ErrorKind::kConfig),
      HasSubstr("token shard of weft; name its folder"));
  const Hdf5Handle file = create_hdf5_image(folder_ / "c.h5");
  write_hdf5_vector(file, "ids", std::span<const std::int32_t>(Ids{1}), false, folder_ / "c.h5");
  save(file, folder_ / "c.h5");
  EXPECT_THAT(error_of([&] { (void)read_all(folder_ / "c.h5"); }), HasSubstr("no dataset 'data'"));
}

TEST_F(CerebrasTest, AFileCutAnywhereIsRefusedOrWhole) {
  const fs::path path = put_samples({1, 2, 3, /**/ 0, 1, 1, /**/ 2, 3, 4}, 3, 3);
  const std::string whole = read_file(files_, path);
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    put("c.h5", whole.substr(0, size));
    EXPECT_THAT(error_of([&] { (void)read_all(path); }), HasSubstr("c.h5")) << size;
  }
}

TEST_F(CerebrasTest, AFolderOfThemBecomesShards) {
  put_samples({1, 2, 3, /**/ 0, 1, 1, /**/ 2, 3, 4}, 3, 3);
  put("data_params.json", "{\"processing\": {}}");
  TokenizeInput input;
  input.path = folder_;
  const auto tokenize = [&] {
    return tokenize_to_shards(files_, std::span(&input, 1), ByteTokenizer(), {},
                              folder_ / ".shards");
  };
  EXPECT_EQ(tokenize().manifest.totals(),
            (ShardCounts{.documents = 1, .tokens = 4, .trained_tokens = 2}));
  EXPECT_TRUE(tokenize().reused);
  put("data_params.json", "{\"processing\": {\"inverted_mask\": true}}");
  EXPECT_THAT(error_of([&] { (void)tokenize(); }, ErrorKind::kConfig), HasSubstr("files"));
}

}  // namespace
}  // namespace weft::data
