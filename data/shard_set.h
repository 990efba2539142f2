#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "data/document.h"
#include "data/manifest.h"
#include "data/shard_reader.h"

namespace weft::data {

struct ShardSetOptions {
  /// When set, shards made with another tokenizer are refused.
  std::string tokenizer_sha256;
  /// Also read every byte once: checksums against the manifest, every token and mask value. About a
  /// second per GiB.
  bool verify = true;
};

/// A folder of shards as one list of documents. Safe for use from several threads.
class ShardSet {
 public:
  /// Opens every shard that FOLDER/shards.json lists and checks it against its entry. Data Errors
  /// name the file.
  ShardSet(FileSystem& files, const fs::path& folder, const ShardSetOptions& options = {});

  /// One shard file alone; what a manifest beside it says of its datasets is taken, where there is
  /// one.
  [[nodiscard]] static ShardSet of_file(FileSystem& files, const fs::path& path,
                                        const ShardSetOptions& options = {});

  [[nodiscard]] const fs::path& folder() const { return folder_; }
  [[nodiscard]] const Manifest& manifest() const { return manifest_; }
  [[nodiscard]] const std::vector<ShardReader>& shards() const { return shards_; }
  [[nodiscard]] std::int64_t documents() const { return first_.back(); }
  /// Tokens of a document.
  [[nodiscard]] std::int64_t length(std::int64_t document) const;
  [[nodiscard]] std::uint16_t source(std::int64_t document) const;
  /// Whether any shard has preference pairs, or judgements (shard_format.h).
  [[nodiscard]] bool has_pairs() const;
  [[nodiscard]] bool has_labels() const;
  /// The rejected document of the pair in which `document` is the chosen one; -1 where it is not.
  [[nodiscard]] std::int64_t rejected(std::int64_t document) const;
  /// The chosen document of the pair that `document` is in; -1 where it is in none.
  [[nodiscard]] std::int64_t chosen(std::int64_t document) const;
  /// Document::label.
  [[nodiscard]] std::int8_t label(std::int64_t document) const;
  /// The whole document.
  [[nodiscard]] Document document(std::int64_t number) const;
  /// Appends `limit` tokens of a document from `begin` on (to its end when that comes first) to
  /// `ids` and `mask`.
  void read(std::int64_t document, std::int64_t limit, std::vector<std::int32_t>& ids,
            std::vector<std::uint8_t>& mask, std::int64_t begin = 0) const;
  /// Reads parts of documents, in an order of its own: shard by shard and from front to back, so
  /// that a chunk of a compressed shard is decoded once for all of them. Errors as for
  /// ShardReader::read.
  void read(std::vector<DocumentRead> reads) const;
  /// Whether a shard decodes whole chunks to read a document.
  [[nodiscard]] bool compressed() const;

 private:
  ShardSet() = default;
  void check_tokenizer(const ShardSetOptions& options) const;

  struct Place {
    const ShardReader* shard;
    std::int64_t document;
  };
  [[nodiscard]] Place find(std::int64_t document) const;

  fs::path folder_;
  Manifest manifest_;
  std::vector<ShardReader> shards_;
  std::vector<std::int64_t> first_{0};  ///< number of documents before each shard, and in all
};

}  // namespace weft::data
