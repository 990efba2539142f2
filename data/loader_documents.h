#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/packing.h"
#include "data/shard_set.h"

namespace weft::data {

/// Whole documents laid end to end: T tokens, B documents.
struct MicroBatch {
  std::vector<std::int32_t> tokens;  ///< [T]
  std::vector<std::uint8_t>
      mask;  ///< [T], 1: the token is a target; 0 for the first of each document
  std::vector<std::int32_t>
      cu_seqlens;  ///< [B+1], from 0 to T: document b is tokens[cu_seqlens[b] .. [b+1])
  std::int32_t max_seqlen = 0;      ///< longest document
  std::int64_t trained_tokens = 0;  ///< sum of mask; may be 0

  bool operator==(const MicroBatch&) const = default;
};

/// The documents of several sets, one set after the other, as a loader gives them: none longer than
/// max_length. Safe for use from several threads.
class LoaderDocuments {
 public:
  /// Does with documents over max_length what options.overlong says and logs once what that was.
  /// Errors as for Loader.
  LoaderDocuments(std::vector<std::shared_ptr<const ShardSet>> sets, const LoaderOptions& options);

  [[nodiscard]] std::int64_t count() const { return first_.back(); }
  /// Tokens of every document.
  [[nodiscard]] std::span<const std::int32_t> lengths() const { return lengths_; }
  /// Documents before each set, and in all.
  [[nodiscard]] std::span<const std::int64_t> first() const { return first_; }
  [[nodiscard]] std::int64_t tokens() const { return tokens_; }
  /// Documents of the shards that were over max_length.
  [[nodiscard]] std::int64_t overlong() const { return overlong_; }

  /// Reads several batches at once, each a list of documents: compressed shards are decoded once
  /// for all of them.
  [[nodiscard]] std::vector<MicroBatch> read(
      const std::vector<std::span<const std::int64_t>>& batches) const;
  /// Whether reading many batches at once is worth memory: some shards are compressed.
  [[nodiscard]] bool compressed() const;

 private:
  /// Where a document is in its set, when that is not at its own number.
  struct Piece {
    std::int64_t document = 0;
    std::int64_t begin = 0;
  };

  void add_set(const ShardSet& set, const LoaderOptions& options);
  void add_overlong(std::int64_t document, std::int64_t length, const LoaderOptions& options);
  void renumber();
  void add_piece(std::int64_t document, std::int64_t begin, std::int64_t length);
  /// Lays the documents out in `batch`, and adds to `reads` of each set what must be read.
  void lay_out(std::span<const std::int64_t> documents, MicroBatch& batch,
               std::vector<std::vector<DocumentRead>>& reads) const;
  void report_overlong(const LoaderOptions& options) const;

  std::vector<std::shared_ptr<const ShardSet>> sets_;
  std::vector<std::int64_t> first_{0};
  std::vector<std::int32_t> lengths_;
  std::vector<Piece> pieces_;  ///< of every document, once some were split or left out
  bool renumbered_ = false;
  std::int64_t tokens_ = 0;
  std::int64_t overlong_ = 0;
};

}  // namespace weft::data
