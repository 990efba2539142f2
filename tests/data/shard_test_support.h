#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "base/random.h"
#include "data/document.h"
#include "data/manifest.h"
#include "data/shard_set.h"
#include "data/shard_writer.h"

namespace weft::data {

/// A fixture with a folder of its own, removed at the end.
class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* const info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(testing::TempDir()) /
              fmt::format("weft-{}-{}-{}", ::getpid(), info->test_suite_name(), info->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// Creates or replaces a file and returns its path.
  fs::path put(const fs::path& name, std::string_view text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary).write(text.data(), std::ssize(text));
    return folder_ / name;
  }

  fs::path folder_;
  FileSystem& files_ = posix_file_system();
};

inline constexpr std::int64_t kTestVocab = 1000;

inline ShardIdentity test_identity() {
  return {.tokenizer_sha256 = std::string(64, 'a'),
          .vocab_size = kTestVocab,
          .fingerprint = std::string(64, 'b')};
}

/// Random ids; about half of the tokens are targets.
inline Document random_document(Random& random, std::int64_t length) {
  Document document;
  for (std::int64_t i = 0; i < length; ++i) {
    document.ids.push_back(static_cast<std::int32_t>(random.below(kTestVocab)));
    document.mask.push_back(static_cast<std::uint8_t>(i == 0 ? 0 : random.below(2)));
  }
  document.source = static_cast<std::uint16_t>(random.below(3));
  return document;
}

inline std::vector<Document> random_documents(std::uint64_t seed, int count, int max_length) {
  Random random(seed);
  std::vector<Document> documents;
  for (int i = 0; i < count; ++i) {
    documents.push_back(random_document(random, 1 + static_cast<std::int64_t>(random.below(
                                                        static_cast<std::uint64_t>(max_length)))));
  }
  return documents;
}

/// A published folder of shards that holds `documents`.
inline Manifest write_shards(FileSystem& files, const fs::path& folder,
                             const std::vector<Document>& documents,
                             const ShardOptions& options = {}) {
  PublishedFolder published(files, folder);
  ShardWriter writer(files, published.path(), test_identity(), options);
  for (const Document& document : documents) {
    writer.add(document);
  }
  Manifest manifest;
  manifest.identity = test_identity();
  manifest.shards = writer.finish();
  write_manifest(files, published.path(), manifest);
  published.commit();
  return manifest;
}

/// The message of the Error that `call` throws; fails the test when it throws none or of another
/// kind.
template <typename Call>
std::string error_of(Call&& call, ErrorKind kind = ErrorKind::kData) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

}  // namespace weft::data
