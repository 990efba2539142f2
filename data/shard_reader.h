#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/file_system.h"
#include "data/document.h"
#include "data/manifest.h"
#include "data/shard_format.h"

namespace weft::data {

/// A part of a document to read, and where to: room for `count` values each.
struct DocumentRead {
  std::int64_t document = 0;
  std::int64_t begin = 0;  ///< within the document
  std::int64_t count = 0;
  std::int32_t* ids = nullptr;
  std::uint8_t* mask = nullptr;
};

/// One open shard file. Safe for use from several threads. Reads of an uncompressed shard run side
/// by side, those of a compressed one take turns.
class ShardReader {
 public:
  /// Opens and checks everything but the token values: format, version, completion mark, types,
  /// ranks, extents and document offsets. A data Error names the file, what was found and what was
  /// expected.
  explicit ShardReader(const fs::path& path);
  ~ShardReader();
  ShardReader(ShardReader&&) noexcept;

  [[nodiscard]] const ShardIdentity& identity() const { return identity_; }
  [[nodiscard]] const ShardCounts& counts() const { return counts_; }
  /// documents + 1 values, strictly increasing from 0.
  [[nodiscard]] const std::vector<std::int64_t>& offsets() const { return offsets_; }
  [[nodiscard]] std::uint16_t source(std::int64_t document) const {
    return source_[static_cast<std::size_t>(document)];
  }

  /// Whether the shard has preference pairs; then the number of the chosen document in the pair of
  /// each, or -1.
  [[nodiscard]] bool has_pairs() const { return !pair_.empty(); }
  [[nodiscard]] std::int64_t pair(std::int64_t document) const {
    return pair_.empty() ? -1 : pair_[static_cast<std::size_t>(document)];
  }
  /// Whether the shard has judgements; then Document::label of each.
  [[nodiscard]] bool has_labels() const { return !label_.empty(); }
  [[nodiscard]] std::int8_t label(std::int64_t document) const {
    return label_.empty() ? Document::kNoLabel : label_[static_cast<std::size_t>(document)];
  }

  /// Appends `limit` tokens of a document from `begin` on (to its end when that comes first) to
  /// `ids` and `mask`, checking that the values are in range.
  void read(std::int64_t document, std::int64_t limit, std::vector<std::int32_t>& ids,
            std::vector<std::uint8_t>& mask, std::int64_t begin = 0) const;

  /// Reads parts of documents, best in the order of the documents: each chunk of a compressed shard
  /// is then decoded once. The values are checked as by the other read().
  void read(std::span<const DocumentRead> reads) const;
  /// Whether reading decodes whole chunks.
  [[nodiscard]] bool compressed() const;
  /// Reads the whole mask: how many tokens of each document are targets.
  [[nodiscard]] std::vector<std::int64_t> trained_per_document() const;

  /// Reads all tokens and masks once and checks every value and the count of trained tokens.
  void verify() const;

 private:
  struct File;

  void read_attributes();
  void read_offsets();
  void read_preferences();
  void check_values(std::int64_t offset, std::span<const std::int32_t> ids,
                    std::span<const std::uint8_t> mask) const;
  void check_first(std::int64_t document, std::int64_t begin, std::uint8_t mask) const;
  /// Calls body(first token, mask) for one piece of the shard after another, its values checked.
  template <typename Body>
  void for_each_slice(Body&& body) const;
  void read_range(std::int64_t offset, std::span<std::int32_t> ids,
                  std::span<std::uint8_t> mask) const;

  fs::path path_;
  std::unique_ptr<File> file_;
  ShardIdentity identity_;
  ShardCounts counts_;
  std::vector<std::int64_t> offsets_;
  std::vector<std::uint16_t> source_;
  std::vector<std::int64_t> pair_;  ///< empty: the shard has none
  std::vector<std::int8_t> label_;  ///< empty: the shard has none
};

}  // namespace weft::data
