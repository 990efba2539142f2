#include "data/tokenize_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "data/content_filter.h"
#include "data/tokenize_encode.h"
#include "data/tokenize_fit.h"
#include "data/tokenize_pair.h"
#include "data/tokenize_split.h"

namespace weft::data {

namespace {

constexpr std::size_t kBatchRows = 4096;
constexpr std::size_t kBatchBytes = std::size_t{4} << 20;

int thread_count(const TokenizeOptions& options) {
  if (options.threads > 0) {
    return options.threads;
  }
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

/// One run over all sources, or over what an earlier run left of them.
class Tokenization {
 public:
  Tokenization(FileSystem& files, const std::vector<TokenizeSource>& sources,
               const Tokenizer& tokenizer, const TokenizeOptions& options, ShardWriter& writer,
               TokenizeWork& work)
      : files_(files),
        sources_(sources),
        tokenizer_(tokenizer),
        options_(options),
        threads_(thread_count(options)),
        writer_(writer),
        work_(work),
        from_(work.done().next) {
    for (const TokenizeSource& source : sources) {
      progress_.total_bytes += source.bytes;
    }
  }

  std::vector<SourceCounts> run() {
    const EncodeContent content{
        .hash = options_.deduplicate || options_.split,
        .side = reading([&] { return split_side(files_, sources_, tokenizer_, options_); })};
    start_from_done(content.side);
    for (std::size_t i = static_cast<std::size_t>(from_.source); i < sources_.size(); ++i) {
      source_ = i;
      row_ = 0;
      if (i == counts_.size()) {
        counts_.emplace_back().path = sources_[i].input.path.string();
      }
      const auto encoder = make_row_encoder(sources_[i], tokenizer_, options_, content);
      RowPicker picker(sources_[i]);
      for (const fs::path& path : sources_[i].files) {
        run_file(path, *encoder, picker, counts_[i]);
      }
    }
    return std::move(counts_);
  }

 private:
  /// What `call` does depends on the inputs: when it fails, they will have to change, and shards
  /// made of these are of no use to the next run.
  template <typename Call>
  std::invoke_result_t<Call> reading(Call call) {
    try {
      return call();
    } catch (...) {
      work_.discard();
      throw;
    }
  }

  /// Takes up the counts of an earlier run. The rows of its last source that it was done with are
  /// read again, to come to the next one, but neither encoded nor written.
  void start_from_done(const SplitSide& side) {
    if (from_.source >= std::ssize(sources_)) {
      fail_data("{}: is damaged; remove it to start over", work_.shards().parent_path().string());
    }
    counts_ = work_.done().sources;
    rows_to_pass_ = from_.row;
    for (std::size_t i = 0; i < static_cast<std::size_t>(from_.source); ++i) {
      progress_.bytes += sources_[i].bytes;
    }
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      counts_[i].path = sources_[i].input.path.string();
      progress_.rows += counts_[i].rows;
      progress_.tokens += counts_[i].kept.tokens;
    }
    progress_.resumed_bytes = progress_.bytes;
    if (options_.deduplicate) {
      reading(
          [&] { remember_contents(files_, sources_, tokenizer_, options_, side, from_, seen_); });
    }
  }

  void run_file(const fs::path& path, const RowEncoder& encoder, RowPicker& picker,
                SourceCounts& counts) {
    const std::unique_ptr<RowReader> reader =
        reading([&] { return open_source_rows(files_, sources_[source_], path); });
    const std::uint64_t before = progress_.bytes;
    while (reading([&] { return read_batch(*reader, picker); })) {
      std::vector<EncodedRow> encoded =
          reading([&] { return encode_rows(encoder, rows_, path, threads_); });
      for (std::size_t i = 0; i < encoded.size(); ++i) {
        write_row(std::move(encoded[i]), fmt::format("{}:{}", path.string(), rows_[i].line),
                  counts);
      }
      progress_.bytes = before + reader->bytes_read();
      report();
    }
    progress_.bytes = before + reader->bytes_read();
  }

  /// Fills rows_. False at the end of the file, or of what is read of it.
  bool read_batch(RowReader& reader, RowPicker& picker) {
    rows_.clear();
    std::size_t bytes = 0;
    Row row;
    while (rows_.size() < kBatchRows && bytes < kBatchBytes && !picker.done() && reader.next(row)) {
      if (!picker.take(row)) {
        continue;
      }
      if (rows_to_pass_ > 0) {
        pass_row(reader);
        continue;
      }
      bytes += row.text.size();
      rows_.push_back(std::move(row));
    }
    return !rows_.empty();
  }

  void pass_row(const RowReader& reader) {
    ++row_;
    if (--rows_to_pass_ == 0) {
      progress_.resumed_bytes = progress_.bytes + reader.bytes_read();
    }
  }

  void write_row(EncodedRow row, const std::string& name, SourceCounts& counts) {
    counts_before_row_ = counts;
    ++counts.rows;
    ++progress_.rows;
    documents_ = 0;
    if (row.left_out) {
      ++counts.left_out;
    } else if (options_.deduplicate && !row.documents.empty() && !seen_.insert(*row.content)) {
      ++counts.duplicates;
    } else {
      write_documents(std::move(row), name, counts);
      counts.dropped += counts.kept.documents == counts_before_row_.kept.documents ? 1 : 0;
    }
    ++row_;
    from_.documents = 0;
  }

  void write_documents(EncodedRow row, const std::string& name, SourceCounts& counts) {
    if (row.documents.empty()) {
      row.documents.emplace_back();  // counted as empty
      row.pair = false;
    }
    for (Document& document : row.documents) {
      document.source = static_cast<std::uint16_t>(source_);
    }
    if (row.pair) {
      std::vector<Document>& pair = row.documents;
      if (reading([&] { return fit_pair(pair, options_, name, counts); })) {
        write(pair[0].size() + pair[1].size(), [&] { writer_.add_pair(pair[0], pair[1]); });
      }
      return;
    }
    for (Document& document : row.documents) {
      const std::vector<Document> kept =
          reading([&] { return fit_document(std::move(document), options_, name, counts); });
      for (const Document& piece : kept) {
        write(piece.size(), [&] { writer_.add(piece); });
      }
    }
  }

  /// Gives the row's next document, or pair, to the writer, unless it is in a shard of an earlier
  /// run; records the shard that ended before it, if one did.
  template <typename Add>
  void write(std::int64_t tokens, Add add) {
    const std::int64_t number = documents_++;
    if (number < from_.documents) {
      return;
    }
    const std::size_t finished = writer_.entries().size();
    add();
    progress_.tokens += tokens;
    if (writer_.entries().size() > finished) {
      std::vector<SourceCounts> counts = counts_;
      counts.back() = counts_before_row_;
      work_.record(writer_.entries().back(),
                   {.source = static_cast<std::int64_t>(source_), .row = row_, .documents = number},
                   counts);
    }
  }

  void report() const {
    if (options_.progress) {
      options_.progress(progress_);
    }
  }

  FileSystem& files_;
  const std::vector<TokenizeSource>& sources_;
  const Tokenizer& tokenizer_;
  const TokenizeOptions& options_;
  int threads_;
  ShardWriter& writer_;
  TokenizeWork& work_;
  TokenizePosition from_;
  std::int64_t rows_to_pass_ = 0;
  TokenizeProgress progress_;
  std::vector<SourceCounts> counts_;
  SourceCounts counts_before_row_;
  std::size_t source_ = 0;
  std::int64_t row_ = 0;        ///< rows of the source that are done with
  std::int64_t documents_ = 0;  ///< of the row at hand, those that the writer has
  std::vector<Row> rows_;
  ContentSet seen_;
};

}  // namespace

std::vector<SourceCounts> run_tokenization(FileSystem& files,
                                           const std::vector<TokenizeSource>& sources,
                                           const Tokenizer& tokenizer,
                                           const TokenizeOptions& options, ShardWriter& writer,
                                           TokenizeWork& work) {
  return Tokenization(files, sources, tokenizer, options, writer, work).run();
}

}  // namespace weft::data
