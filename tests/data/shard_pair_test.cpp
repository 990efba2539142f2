// The datasets that only some shards have: preference pairs and judgements.
#include <gmock/gmock.h>

#include "data/hdf5_io.h"
#include "data/shard_reader.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;

class ShardPairTest : public FolderTest {
 protected:
  static Document document(std::int32_t id, std::int8_t label = Document::kNoLabel) {
    Document made;
    made.ids = {id, id + 1};
    made.mask = {0, 1};
    made.label = label;
    return made;
  }

  /// A shard with the documents single, chosen, rejected.
  fs::path write_pair() {
    ShardWriter writer(files_, folder_, test_identity(), {});
    writer.add(document(1));
    writer.add_pair(document(3), document(5));
    (void)writer.finish();
    return folder_ / "shard-00000.h5";
  }

  template <typename T>
  std::string refusal_of(const char* name, std::vector<T> values) {
    fs::remove(folder_ / "shard-00000.h5");
    const fs::path path = write_pair();
    {
      const Hdf5Lock lock;
      const Hdf5Handle file = hdf5_handle(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT),
                                          H5Fclose, path, "cannot be opened by the test");
      if (has_hdf5_object(file, name)) {
        H5Ldelete(file.id(), name, H5P_DEFAULT);
      }
      write_hdf5_vector<T>(file, name, values, false, path);
    }
    return error_of([&] { (void)ShardReader(path); });
  }
};

TEST_F(ShardPairTest, PairsComeBackAndOtherShardsHaveNone) {
  const ShardReader reader(write_pair());
  EXPECT_TRUE(reader.has_pairs());
  EXPECT_FALSE(reader.has_labels());
  EXPECT_EQ(reader.pair(0), -1);
  EXPECT_EQ(reader.pair(1), 1);
  EXPECT_EQ(reader.pair(2), 1);
  EXPECT_EQ(reader.label(1), Document::kNoLabel);
}

TEST_F(ShardPairTest, LabelsComeBack) {
  ShardWriter writer(files_, folder_, test_identity(), {});
  writer.add(document(1));
  writer.add(document(3, Document::kDesirable));
  writer.add(document(5, Document::kUndesirable));
  (void)writer.finish();
  const ShardReader reader(folder_ / "shard-00000.h5");
  EXPECT_FALSE(reader.has_pairs());
  EXPECT_EQ(reader.label(0), Document::kNoLabel);
  EXPECT_EQ(reader.label(1), Document::kDesirable);
  EXPECT_EQ(reader.label(2), Document::kUndesirable);
}

TEST_F(ShardPairTest, APairIsNeverCutByTheEndOfAShard) {
  ShardWriter writer(files_, folder_, test_identity(), {.shard_tokens = 4});
  writer.add(document(1));
  writer.add_pair(document(3), document(5));
  writer.add_pair(document(7), document(9));
  const auto entries = writer.finish();
  ASSERT_EQ(entries.size(), 3u);
  for (const char* name : {"shard-00001.h5", "shard-00002.h5"}) {
    const ShardReader reader(folder_ / name);
    EXPECT_EQ(reader.pair(0), 0);
    EXPECT_EQ(reader.pair(1), 0);
  }
}

TEST_F(ShardPairTest, PairsAndLabelsThatCannotBeAreRefused) {
  using Pairs = std::vector<std::int64_t>;
  for (const Pairs& pairs : {Pairs{0, 1, 1}, Pairs{-1, 1, -1}, Pairs{-1, 2, 2}, Pairs{-2, 1, 1},
                             Pairs{-1, -1, 2}, Pairs{0, 0, 0}, Pairs{-1, 99, 99}}) {
    EXPECT_THAT(refusal_of("pair", pairs), HasSubstr("shard-00000.h5: pair of document"));
  }
  EXPECT_THAT(refusal_of("pair", Pairs{1, 1}), HasSubstr("has 2 values, expected 3"));
  EXPECT_THAT(refusal_of("pair", std::vector<std::int32_t>{-1, 1, 1}),
              HasSubstr("not of type int64"));
  EXPECT_THAT(refusal_of("label", std::vector<std::int8_t>{0, 1, 2}),
              HasSubstr("label of document 2 is 2, expected 1, 0 or -1"));
}

TEST_F(ShardPairTest, ABadDocumentOfAPairIsRefusedBeforeTheOtherIsWritten) {
  ShardWriter writer(files_, folder_, test_identity(), {});
  Document bad = document(3);
  bad.mask = {1, 1};
  EXPECT_THAT(error_of([&] { writer.add_pair(document(1), bad); }), HasSubstr("start with 0"));
  EXPECT_TRUE(writer.finish().empty());
}

}  // namespace
}  // namespace weft::data
