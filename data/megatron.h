#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/file_system.h"

namespace weft::data {

/// How Megatron-LM stores ids: NAME.bin holds them one after another, NAME.idx says where sequences
/// begin and which of them make a document (NVIDIA/Megatron-LM,
/// megatron/core/datasets/indexed_dataset.py). All numbers are little-endian:
///
///   "MMIDIDX\0\0", u64 version 1, u8 type of the ids, u64 S, u64 D,
///   i32 lengths[S], i64 byte positions[S], i64 first sequence of each document and the end [D],
///   i8 modes[S], only in files with several kinds of data
///
/// Types: 1 u8, 2 i8, 3 i16, 4 i32, 5 i64, 6 f64, 7 f32, 8 u16. The format has no masks: weft keeps
/// them in a second pair of the same documents, NAME.mask.bin and .idx, 1 for what is a target.
class MegatronReader {
 public:
  /// Opens the pair by either of its names. Data Errors name the file, what was found and what was
  /// expected: another format, floating-point ids, numbers that do not fit each other or the file's
  /// size.
  MegatronReader(FileSystem& files, const fs::path& path);

  [[nodiscard]] std::int64_t documents() const {
    return static_cast<std::int64_t>(first_.size()) - 1;
  }
  /// Tokens of a document, the sum of its sequences.
  [[nodiscard]] std::int64_t length(std::int64_t document) const;
  /// Replaces `ids` by the document's. A data Error for an id below 0 or over 2^31 - 1.
  void read(std::int64_t document, std::vector<std::int32_t>& ids) const;

 private:
  void read_index(FileSystem& files);
  void check_sequences() const;

  fs::path bin_;
  fs::path idx_;
  std::unique_ptr<ReadableFile> data_;
  std::size_t id_bytes_ = 0;
  bool is_signed_ = false;
  std::vector<std::int32_t> lengths_;    ///< of each sequence, in ids
  std::vector<std::int64_t> positions_;  ///< of each sequence, in bytes
  std::vector<std::int64_t> first_;      ///< sequence of each document, and the end
};

/// The two names of a pair, from either: NAME.bin and NAME.idx.
struct MegatronPaths {
  fs::path bin;
  fs::path idx;
};
[[nodiscard]] MegatronPaths megatron_paths(const fs::path& path);
/// The names of the pair that holds the masks of that pair: NAME.mask.bin and NAME.mask.idx.
[[nodiscard]] MegatronPaths megatron_mask_paths(const fs::path& path);

/// Writes documents as a pair, each as one sequence, ids as i32, or as u16 where the vocabulary has
/// no more than 65,500 ids, as Megatron's own tools choose, or u8 where it has no more than 2
/// (masks). The files appear when finish() returns.
class MegatronWriter {
 public:
  MegatronWriter(FileSystem& files, const fs::path& path, std::int64_t vocab_size);
  void add(const std::vector<std::int32_t>& ids);
  /// Syncs and publishes both files, the index last.
  void finish();

 private:
  PublishedFile bin_;
  PublishedFile idx_;
  std::size_t id_bytes_;
  std::vector<std::int32_t> lengths_;
};

}  // namespace weft::data
