#include "data/tokenize_split.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "data/tokenize_encode.h"

namespace weft::data {

namespace {

constexpr std::size_t kBatchRows = 4096;
constexpr std::size_t kBatchBytes = std::size_t{4} << 20;

/// The smallest hashes of a stream, different from each other: twice as many in memory as are
/// wanted.
class SmallestHashes {
 public:
  explicit SmallestHashes(std::size_t wanted) : wanted_(wanted) {}

  void add(const ContentHash& hash) {
    hashes_.push_back(hash);
    if (hashes_.size() > 2 * wanted_ + kBatchRows) {
      shrink();
    }
  }
  std::vector<ContentHash> take() {
    shrink();
    return std::move(hashes_);
  }

 private:
  void shrink() {
    std::sort(hashes_.begin(), hashes_.end());
    hashes_.erase(std::unique(hashes_.begin(), hashes_.end()), hashes_.end());
    hashes_.resize(std::min(hashes_.size(), wanted_));
  }

  std::size_t wanted_;
  std::vector<ContentHash> hashes_;
};

/// Fills `rows` with rows that are to be read; false at the end of the file, or of what is read of
/// it.
bool read_batch(RowReader& reader, RowPicker& picker, std::vector<Row>& rows) {
  rows.clear();
  std::size_t bytes = 0;
  Row row;
  while (rows.size() < kBatchRows && bytes < kBatchBytes && !picker.done() && reader.next(row)) {
    if (picker.take(row)) {
      bytes += row.text.size();
      rows.push_back(std::move(row));
    }
  }
  return !rows.empty();
}

/// Says how far reading has come.
class ReadingProgress {
 public:
  ReadingProgress(const std::vector<TokenizeSource>& sources, const TokenizeOptions& options)
      : options_(options) {
    progress_.stage = TokenizeStage::kChoosing;
    for (const TokenizeSource& source : sources) {
      progress_.total_bytes += source.bytes;
    }
  }

  void at(const RowReader& reader) {
    progress_.bytes = done_ + reader.bytes_read();
    if (options_.progress) {
      options_.progress(progress_);
    }
  }
  void finish_file(const RowReader& reader) { done_ += reader.bytes_read(); }

 private:
  const TokenizeOptions& options_;
  TokenizeProgress progress_;
  std::uint64_t done_ = 0;
};

void add_hashes(FileSystem& files, const TokenizeSource& source, const RowEncoder& encoder,
                int threads, SmallestHashes& hashes, ReadingProgress& progress) {
  RowPicker picker(source);
  std::vector<Row> rows;
  for (const fs::path& path : source.files) {
    const auto reader = open_source_rows(files, source, path);
    while (read_batch(*reader, picker, rows)) {
      for (const EncodedRow& encoded : encode_rows(encoder, rows, path, threads)) {
        if (encoded.content) {
          hashes.add(*encoded.content);
        }
      }
      progress.at(*reader);
    }
    progress.finish_file(*reader);
  }
}

}  // namespace

std::string val_size_problem(double size) {
  if (!(size > 0.0) || size > 1e12 || (size >= 1.0 && size != std::floor(size))) {
    return fmt::format("is {}; expected a share between 0 and 1, or a whole number of rows", size);
  }
  return {};
}

SplitSide split_side(FileSystem& files, const std::vector<TokenizeSource>& sources,
                     const Tokenizer& tokenizer, const TokenizeOptions& options) {
  if (!options.split) {
    return {};
  }
  const double size = options.split->size;
  if (const std::string problem = val_size_problem(size); !problem.empty()) {
    fail_config("val_size {}", problem);
  }
  const bool validation = options.split->validation;
  if (size < 1.0) {
    return SplitSide::of_share(size, validation);
  }
  const auto count = static_cast<std::int64_t>(size);
  log_info("reading all rows to choose {} for validation", count);
  SmallestHashes hashes(static_cast<std::size_t>(count) + 1);
  // No row is on the validation side of a share of nothing: all are hashed, none is tokenised.
  const EncodeContent content{.hash = true, .side = SplitSide::of_share(0.0, true)};
  ReadingProgress progress(sources, options);
  for (const TokenizeSource& source : sources) {
    const auto encoder = make_row_encoder(source, tokenizer, options, content);
    add_hashes(files, source, *encoder, std::max(1, options.threads), hashes, progress);
  }
  std::vector<ContentHash> smallest = hashes.take();
  if (std::ssize(smallest) <= count) {
    fail_data("val_size is {}, but there are only {} different rows; set aside fewer, or a share",
              count, smallest.size());
  }
  return SplitSide::of_count(std::move(smallest), count, validation);
}

void remember_contents(FileSystem& files, const std::vector<TokenizeSource>& sources,
                       const Tokenizer& tokenizer, const TokenizeOptions& options,
                       const SplitSide& side, const TokenizePosition& until, ContentSet& seen) {
  const EncodeContent content{.hash = true, .side = SplitSide::of_share(0.0, true)};
  ReadingProgress progress(sources, options);
  std::vector<Row> rows;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(until.source); ++i) {
    const bool last = std::cmp_equal(i, until.source);
    std::size_t left = last ? static_cast<std::size_t>(until.row) : SIZE_MAX;
    const auto encoder = make_row_encoder(sources[i], tokenizer, options, content);
    RowPicker picker(sources[i]);
    for (const fs::path& path : sources[i].files) {
      const auto reader = open_source_rows(files, sources[i], path);
      while (left > 0 && read_batch(*reader, picker, rows)) {
        rows.resize(std::min(rows.size(), left));
        left -= rows.size();
        for (const EncodedRow& row : encode_rows(*encoder, rows, path, options.threads)) {
          if (row.content && side.contains(*row.content)) {
            seen.insert(*row.content);
          }
        }
        progress.at(*reader);
      }
      progress.finish_file(*reader);
    }
  }
}

}  // namespace weft::data
