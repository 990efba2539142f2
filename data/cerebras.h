#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "data/hdf5_table.h"

namespace weft::data {

/// What Cerebras' tools say beside their files of how those were made.
inline constexpr std::string_view kCerebrasParameters = "data_params.json";

/// A document as a reader of another tool's files gives it.
struct CerebrasDocument {
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> trained;  ///< 1: is a target; the first never is
  std::int64_t sample = 0;            ///< the sample that it is in, or piece of a stream, from 1
};

/// Token files of Cerebras' Model Zoo (Cerebras/modelzoo, data_preparation/data_preprocessing):
/// HDF5 with one dataset `data` of integers, in one of three forms.
///
///   samples [N, 3, L]  input ids, loss mask (0 or 1, of the label), labels: the ids moved by one.
///                      A sample is one document; what pads it at the end is left out.
///   packed  [N, 5, L]  the same, then attention span and position: several documents a sample,
///                      each from position 0 to span 0. Only the last one's end is moved out.
///   stream  [T]        ids, without bounds, cut into pieces of `stream_tokens`. Each begins with
///   the
///                      last token of the piece before, so that every token is a target once.
///
/// `inverted_mask` in a data_params.json beside the file is heeded.
class CerebrasReader {
 public:
  /// Data Errors name the file, what was found and what was expected. A stream without
  /// `stream_tokens` (at least 2) is a config Error, and so is a token shard of weft's own.
  CerebrasReader(FileSystem& files, const fs::path& path,
                 std::optional<std::int64_t> stream_tokens);

  /// The next document; false at the end.
  [[nodiscard]] bool next(CerebrasDocument& document);
  /// How much of the file was read, 0 to 1.
  [[nodiscard]] double fraction_read() const;
  /// Ids that a document can have at most.
  [[nodiscard]] std::int64_t longest() const;

 private:
  enum class Form { kSamples, kPacked, kStream };

  void find_form();
  [[nodiscard]] bool next_piece(CerebrasDocument& document);
  void read_block();
  void read_sample();
  void read_plain();
  void read_packed();
  [[nodiscard]] bool is_padding(std::int64_t position) const;
  [[nodiscard]] std::int64_t run_length(std::int64_t begin) const;
  void add_document(std::int64_t begin, std::int64_t end, bool moved);
  [[nodiscard]] bool is_trained(std::int64_t position) const;
  [[nodiscard]] std::int64_t value(std::int64_t feature, std::int64_t position) const;
  [[nodiscard]] std::int32_t id(std::int64_t value, std::int64_t position) const;

  fs::path path_;
  Hdf5Handle file_;
  Hdf5Table table_;
  Form form_ = Form::kSamples;
  std::int64_t stream_tokens_ = 0;
  bool inverted_ = false;
  std::int64_t length_ = 0;          ///< of a sample
  std::vector<std::int64_t> block_;  ///< rows that are decoded together
  std::int64_t block_begin_ = 0;
  std::int64_t block_rows_ = 0;
  std::int64_t row_ = 0;                     ///< next sample, or next value of a stream
  std::int64_t pieces_ = 0;                  ///< of a stream, given so far
  std::int32_t last_id_ = 0;                 ///< of a stream, read last
  std::vector<CerebrasDocument> documents_;  ///< of the sample that was read last
  std::size_t given_ = 0;
};

}  // namespace weft::data
