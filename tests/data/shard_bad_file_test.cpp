// Shards that are not what weft writes: each is made from a good one by changing one thing with
// HDF5 itself.
#include <gmock/gmock.h>
#include <hdf5.h>

#include <array>
#include <functional>

#include "data/hdf5_io.h"
#include "data/shard_reader.h"
#include "shard_test_support.h"

namespace weft::data {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class BadShardTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    ShardWriter writer(files_, folder_, test_identity(), {});
    writer.add({.ids = {1, 2, 3}, .mask = {0, 1, 1}});
    writer.add({.ids = {4, 5}, .mask = {0, 1}});
    (void)writer.finish();
    path_ = folder_ / "shard-00000.h5";
  }

  void edit(const std::function<void(const Hdf5Handle&)>& change) const {
    const Hdf5Lock lock;
    const Hdf5Handle file = hdf5_handle(H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose,
                                        path_, "cannot be opened by the test");
    change(file);
  }

  static void remove(const Hdf5Handle& file, const char* name) {
    ASSERT_GE(H5Ldelete(file.id(), name, H5P_DEFAULT), 0);
  }

  template <typename T>
  void replace(const char* name, std::vector<T> values) const {
    edit([&](const Hdf5Handle& file) {
      remove(file, name);
      write_hdf5_vector<T>(file, name, values, false, path_);
    });
  }

  void set_attribute(const char* name, std::int64_t value) const {
    edit([&](const Hdf5Handle& file) {
      ASSERT_GE(H5Adelete(file.id(), name), 0);
      write_attribute(file, name, value, path_);
    });
  }

  /// A dataset made with the given extents and creation list, its data left unwritten.
  static void create(const Hdf5Handle& file, const char* name, std::vector<hsize_t> extent,
                     hid_t creation, hid_t type = H5T_STD_I32LE) {
    const Hdf5Handle space(
        H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr), H5Sclose);
    const Hdf5Handle dataset(
        H5Dcreate2(file.id(), name, type, space.id(), H5P_DEFAULT, creation, H5P_DEFAULT),
        H5Dclose);
    ASSERT_GE(dataset.id(), 0);
  }

  /// What opening and reading everything says, without the path that it must begin with.
  [[nodiscard]] std::string refusal() const {
    const std::string message = error_of([&] { ShardReader(path_).verify(); });
    EXPECT_THAT(message, StartsWith(path_.string() + ": "));
    return message.substr(std::min(message.size(), path_.string().size() + 2));
  }

  fs::path path_;
};

TEST_F(BadShardTest, TheUnchangedOneIsRead) { ShardReader(path_).verify(); }

TEST_F(BadShardTest, MissingFile) {
  fs::remove(path_);
  EXPECT_THAT(refusal(), HasSubstr("cannot be opened as an HDF5 file"));
}

TEST_F(BadShardTest, TextFile) {
  put("shard-00000.h5", "not HDF5 at all");
  EXPECT_THAT(refusal(), HasSubstr("cannot be opened as an HDF5 file: it is missing, cut short or "
                                   "damaged (HDF5: "));
}

TEST_F(BadShardTest, CutAnywhere) {
  const std::string whole = read_file(files_, path_);
  for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 40) {
    put("shard-00000.h5", std::string_view(whole).substr(0, size));
    EXPECT_NE(refusal(), "") << size;
  }
}

TEST_F(BadShardTest, AnyByteChangedIsReadOrRefusedButNeverACrash) {
  const std::string whole = read_file(files_, path_);
  int refused = 0;
  for (std::size_t at = 0; at < whole.size(); at += 17) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(~bytes[at]);
    put("shard-00000.h5", bytes);
    try {
      ShardReader(path_).verify();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kData);
      ++refused;
    }
  }
  EXPECT_GT(refused, 20);
}

TEST_F(BadShardTest, NoCompletionMark) {
  edit([](const Hdf5Handle& file) { H5Adelete(file.id(), "complete"); });
  EXPECT_EQ(refusal(), "has no completion mark: its writer was stopped; tokenise again");
}

TEST_F(BadShardTest, CompletionMarkOfZero) {
  set_attribute("complete", 0);
  EXPECT_THAT(refusal(), HasSubstr("has no completion mark"));
}

TEST_F(BadShardTest, MissingAttribute) {
  edit([](const Hdf5Handle& file) { H5Adelete(file.id(), "vocab_size"); });
  EXPECT_THAT(refusal(), HasSubstr("attribute 'vocab_size' is missing"));
}

TEST_F(BadShardTest, AttributeOfAnotherType) {
  edit([this](const Hdf5Handle& file) {
    H5Adelete(file.id(), "documents");
    write_attribute(file, "documents", std::string("two"), path_);
  });
  EXPECT_EQ(refusal(), "attribute 'documents' is not an integer");
}

TEST_F(BadShardTest, FormatThatIsNoString) {
  set_attribute("format", 1);
  EXPECT_EQ(refusal(), "attribute 'format' is not a string of fixed length");
}

TEST_F(BadShardTest, ArrayAttribute) {
  edit([](const Hdf5Handle& file) {
    H5Adelete(file.id(), "tokens");
    const std::array<hsize_t, 1> extent{3};
    const Hdf5Handle space(H5Screate_simple(1, extent.data(), nullptr), H5Sclose);
    const Hdf5Handle made(
        H5Acreate2(file.id(), "tokens", H5T_STD_I64LE, space.id(), H5P_DEFAULT, H5P_DEFAULT),
        H5Aclose);
  });
  EXPECT_EQ(refusal(), "attribute 'tokens' holds an array, expected one value");
}

TEST_F(BadShardTest, NewerVersion) {
  set_attribute("version", 2);
  EXPECT_EQ(refusal(), "format 'weft.tokens' version 2, expected 'weft.tokens' version 1");
}

TEST_F(BadShardTest, ImpossibleCounts) {
  set_attribute("documents", 9);
  EXPECT_EQ(refusal(), "9 documents, 5 tokens, 3 trained tokens: impossible for a shard");
}

TEST_F(BadShardTest, ImpossibleVocabulary) {
  set_attribute("vocab_size", std::int64_t{1} << 40);
  EXPECT_THAT(refusal(), HasSubstr("vocab_size 1099511627776 is impossible"));
}

TEST_F(BadShardTest, MissingDataset) {
  edit([](const Hdf5Handle& file) { remove(file, "mask"); });
  EXPECT_THAT(refusal(), HasSubstr("dataset 'mask' is missing"));
}

TEST_F(BadShardTest, WrongRank) {
  edit([](const Hdf5Handle& file) {
    remove(file, "tokens");
    create(file, "tokens", {5, 1}, H5P_DEFAULT);
  });
  EXPECT_EQ(refusal(), "dataset 'tokens' has rank 2, expected 1");
}

TEST_F(BadShardTest, ScalarDataset) {
  edit([](const Hdf5Handle& file) {
    remove(file, "tokens");
    const Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose);
    const Hdf5Handle made(H5Dcreate2(file.id(), "tokens", H5T_STD_I32LE, space.id(), H5P_DEFAULT,
                                     H5P_DEFAULT, H5P_DEFAULT),
                          H5Dclose);
  });
  EXPECT_EQ(refusal(), "dataset 'tokens' has rank 0, expected 1");
}

TEST_F(BadShardTest, WrongType) {
  replace<std::int64_t>("tokens", {1, 2, 3, 4, 5});
  EXPECT_EQ(refusal(), "dataset 'tokens' is not of type int32 (little-endian)");
}

TEST_F(BadShardTest, GroupInPlaceOfADataset) {
  edit([](const Hdf5Handle& file) {
    remove(file, "tokens");
    const Hdf5Handle group(H5Gcreate2(file.id(), "tokens", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                           H5Gclose);
    // A group that contains itself: following names would never end.
    H5Lcreate_hard(file.id(), "tokens", group.id(), "tokens", H5P_DEFAULT, H5P_DEFAULT);
  });
  EXPECT_THAT(refusal(), HasSubstr("cannot open a dataset"));
}

TEST_F(BadShardTest, WrongExtent) {
  replace<std::uint8_t>("mask", {0, 1, 1, 0});
  EXPECT_EQ(refusal(), "dataset 'mask' has 4 values, expected 5");
}

TEST_F(BadShardTest, OffsetsThatDoNotIncrease) {
  replace<std::int64_t>("doc_offsets", {0, 5, 5});
  EXPECT_EQ(refusal(), "doc_offsets must increase, but document 1 goes from 5 to 5");
}

TEST_F(BadShardTest, OffsetsThatEndElsewhere) {
  replace<std::int64_t>("doc_offsets", {0, 3, 6});
  EXPECT_EQ(refusal(), "doc_offsets go from 0 to 6, expected 0 to 5");
}

TEST_F(BadShardTest, TokenOutsideTheVocabulary) {
  replace<std::int32_t>("tokens", {1, 2, 3, 1000, 5});
  EXPECT_EQ(refusal(), "token 3 has id 1000, outside the vocabulary of 1000");
}

TEST_F(BadShardTest, NegativeToken) {
  replace<std::int32_t>("tokens", {1, 2, 3, 4, -5});
  EXPECT_EQ(refusal(), "token 4 has id -5, outside the vocabulary of 1000");
}

TEST_F(BadShardTest, TokenOutsideTheVocabularyIsAlsoFoundWhenOnlyItsDocumentIsRead) {
  replace<std::int32_t>("tokens", {1, 2, 3, 1000, 5});
  const ShardReader shard(path_);
  Document document;
  shard.read(0, 10, document.ids, document.mask);
  EXPECT_THAT(error_of([&] { shard.read(1, 10, document.ids, document.mask); }),
              HasSubstr("token 3 has id 1000"));
}

TEST_F(BadShardTest, MaskThatIsNoMask) {
  replace<std::uint8_t>("mask", {0, 1, 7, 0, 1});
  EXPECT_EQ(refusal(), "token 2 has mask 7, expected 0 or 1");
}

TEST_F(BadShardTest, FirstTokenOfADocumentAsTarget) {
  replace<std::uint8_t>("mask", {0, 1, 1, 1, 1});
  EXPECT_EQ(refusal(), "document 1 marks its first token as a target; nothing is before it");
}

TEST_F(BadShardTest, OtherCountOfTrainedTokens) {
  replace<std::uint8_t>("mask", {0, 1, 0, 0, 1});
  EXPECT_EQ(refusal(), "says 3 trained tokens, its mask has 2");
}

TEST_F(BadShardTest, ExternalLink) {
  put("other.h5", read_file(files_, path_));
  edit([](const Hdf5Handle& file) {
    remove(file, "tokens");
    H5Lcreate_external("other.h5", "/tokens", file.id(), "tokens", H5P_DEFAULT, H5P_DEFAULT);
  });
  EXPECT_EQ(refusal(), "'tokens' is an external link; a file must hold its data itself");
}

TEST_F(BadShardTest, SoftLink) {
  edit([](const Hdf5Handle& file) {
    H5Lmove(file.id(), "tokens", file.id(), "elsewhere", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/elsewhere", file.id(), "tokens", H5P_DEFAULT, H5P_DEFAULT);
  });
  EXPECT_THAT(refusal(), HasSubstr("'tokens' is a soft or user-defined link"));
}

TEST_F(BadShardTest, DataInAnotherFile) {
  put("raw", std::string(20, '\0'));
  edit([this](const Hdf5Handle& file) {
    remove(file, "tokens");
    const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_external(creation.id(), (folder_ / "raw").c_str(), 0, 20);
    create(file, "tokens", {5}, creation.id());
  });
  EXPECT_EQ(refusal(), "dataset 'tokens' is not stored as chunks of this file");
}

TEST_F(BadShardTest, UnknownFilter) {
  edit([](const Hdf5Handle& file) {
    remove(file, "tokens");
    const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const std::array<hsize_t, 1> chunk{5};
    H5Pset_chunk(creation.id(), 1, chunk.data());
    H5Pset_fletcher32(creation.id());
    create(file, "tokens", {5}, creation.id());
  });
  EXPECT_EQ(refusal(), "dataset 'tokens' uses filter 3; only shuffle (2) and gzip (1) are read");
}

TEST_F(BadShardTest, HugeChunks) {
  edit([](const Hdf5Handle& file) {
    remove(file, "tokens");
    const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const std::array<hsize_t, 1> chunk{100'000'000};
    H5Pset_chunk(creation.id(), 1, chunk.data());
    create(file, "tokens", {100'000'000}, creation.id());
  });
  EXPECT_EQ(refusal(), "dataset 'tokens' has chunks of 100000000 values, at most 4194304 are read");
}

TEST_F(BadShardTest, ExtentWithoutBytesBehindIt) {
  set_attribute("tokens", 900'000'000);
  edit([](const Hdf5Handle& file) {
    remove(file, "tokens");
    const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    const std::array<hsize_t, 1> chunk{65536};
    H5Pset_chunk(creation.id(), 1, chunk.data());
    create(file, "tokens", {900'000'000}, creation.id());
  });
  EXPECT_EQ(refusal(),
            "dataset 'tokens' claims 900000000 values, but its 0 stored bytes cannot hold them");
}

}  // namespace
}  // namespace weft::data
