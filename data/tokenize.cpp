#include "data/tokenize.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "data/shard_set.h"
#include "data/tokenize_encode.h"
#include "data/tokenize_fit.h"
#include "data/tokenize_pair.h"
#include "data/tokenize_sources.h"
#include "data/tokenize_split.h"

namespace weft::data {

namespace {

constexpr std::size_t kBatchRows = 4096;
constexpr std::size_t kBatchBytes = std::size_t{4} << 20;

const std::array<std::pair<Overlong, const char*>, 4> kOverlongNames{
    {{Overlong::kTruncate, "truncate"},
     {Overlong::kDrop, "drop"},
     {Overlong::kSplit, "split"},
     {Overlong::kError, "error"}}};

int thread_count(const TokenizeOptions& options) {
  if (options.threads > 0) {
    return options.threads;
  }
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

/// One run over all sources.
class Tokenization {
 public:
  Tokenization(FileSystem& files, const std::vector<TokenizeSource>& sources,
               const Tokenizer& tokenizer, const TokenizeOptions& options, ShardWriter& writer)
      : files_(files),
        sources_(sources),
        tokenizer_(tokenizer),
        options_(options),
        threads_(thread_count(options)),
        writer_(writer) {
    for (const TokenizeSource& source : sources) {
      progress_.total_bytes += source.bytes;
    }
  }

  std::vector<SourceCounts> run() {
    const EncodeContent content{.hash = options_.deduplicate || options_.split,
                                .side = split_side(files_, sources_, tokenizer_, options_)};
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      SourceCounts& counts = counts_.emplace_back();
      counts.path = sources_[i].input.path.string();
      const auto encoder = make_row_encoder(sources_[i], tokenizer_, options_, content);
      RowPicker picker(sources_[i]);
      for (const fs::path& path : sources_[i].files) {
        run_file(path, i, *encoder, picker, counts);
      }
    }
    return std::move(counts_);
  }

 private:
  void run_file(const fs::path& path, std::size_t source, const RowEncoder& encoder,
                RowPicker& picker, SourceCounts& counts) {
    const auto reader = open_source_rows(files_, sources_[source], path);
    const std::uint64_t before = progress_.bytes;
    while (read_batch(*reader, picker)) {
      std::vector<EncodedRow> encoded = encode_rows(encoder, rows_, path, threads_);
      for (std::size_t i = 0; i < encoded.size(); ++i) {
        for (Document& document : encoded[i].documents) {
          document.source = static_cast<std::uint16_t>(source);
        }
        write(std::move(encoded[i]), fmt::format("{}:{}", path.string(), rows_[i].line), counts);
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
      if (picker.take(row)) {
        bytes += row.text.size();
        rows_.push_back(std::move(row));
      }
    }
    return !rows_.empty();
  }

  void write(EncodedRow row, const std::string& name, SourceCounts& counts) {
    ++counts.rows;
    ++progress_.rows;
    if (row.left_out) {
      ++counts.left_out;
    } else if (row.documents.empty()) {
      ++counts.empty;
    } else if (options_.deduplicate && !seen_.insert(*row.content)) {
      ++counts.duplicates;
    } else if (row.pair) {
      write_pair(std::move(row.documents), name, counts);
    } else {
      for (Document& document : row.documents) {
        for (const Document& kept : fit_document(std::move(document), options_, name, counts)) {
          progress_.tokens += kept.size();
          writer_.add(kept);
        }
      }
    }
  }

  void write_pair(std::vector<Document> pair, const std::string& name, SourceCounts& counts) {
    if (fit_pair(pair, options_, name, counts)) {
      progress_.tokens += pair[0].size() + pair[1].size();
      writer_.add_pair(pair[0], pair[1]);
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
  TokenizeProgress progress_;
  std::vector<SourceCounts> counts_;
  std::vector<Row> rows_;
  ContentSet seen_;
};

/// What `folder` holds already: the shards to reuse, or nothing. A config Error when it holds
/// something else.
std::optional<Manifest> find_existing(FileSystem& files, const fs::path& folder,
                                      const ShardIdentity& identity, const Json& recipe) {
  if (!files.exists(folder)) {
    return std::nullopt;
  }
  if (!files.is_folder(folder)) {
    fail_config("output_dir {}: is a file; choose another", folder.string());
  }
  if (!is_shard_folder(files, folder)) {
    if (!files.list(folder).empty()) {
      fail_config("output_dir {}: is not empty and holds no {}; choose another", folder.string(),
                  kManifestName);
    }
    return std::nullopt;
  }
  Manifest manifest = read_manifest(files, folder);
  if (manifest.identity != identity) {
    fail_config(
        "output_dir {}: holds shards of other inputs or options ({}); remove it or choose "
        "another",
        folder.string(), recipe_difference(manifest.recipe, recipe));
  }
  (void)ShardSet(files, folder, {.tokenizer_sha256 = {}, .verify = false});
  return manifest;
}

[[noreturn]] void fail_nothing_left(const std::vector<SourceCounts>& sources) {
  SourceCounts sum;
  for (const SourceCounts& source : sources) {
    sum.rows += source.rows;
    sum.empty += source.empty;
    sum.no_target += source.no_target;
    sum.overlong_dropped += source.overlong_dropped;
  }
  fail_data(
      "no document is left to train on: of {} rows {} were empty, {} had no token to train "
      "and {} were over max_length",
      sum.rows, sum.empty, sum.no_target, sum.overlong_dropped);
}

}  // namespace

TokenizeResult tokenize_to_shards(FileSystem& files, std::span<const TokenizeInput> inputs,
                                  const Tokenizer& tokenizer, const TokenizeOptions& options,
                                  const fs::path& out_folder) {
  const std::vector<TokenizeSource> sources = resolve_inputs(files, inputs, options);
  Manifest manifest;
  manifest.recipe = tokenize_recipe(files, sources, tokenizer, options);
  manifest.identity = {.tokenizer_sha256 = tokenizer.sha256(),
                       .vocab_size = tokenizer.vocab_size(),
                       .fingerprint = recipe_fingerprint(manifest.recipe)};
  if (auto existing = find_existing(files, out_folder, manifest.identity, manifest.recipe)) {
    return {.manifest = std::move(*existing), .reused = true};
  }
  fs::path out = fs::absolute(out_folder).lexically_normal();
  if (!out.has_filename()) {
    out = out.parent_path();  // "shards/" means "shards"
  }
  for (const TokenizeSource& source : sources) {
    if (!source.format.guessed_from.empty()) {
      log_info("{}", source.format.description(source.input.path.string()));
    }
  }
  files.make_folders(out.parent_path());
  remove_stale_temporaries(files, out.parent_path());
  PublishedFolder folder(files, out);
  ShardWriter writer(files, folder.path(), manifest.identity, options.shards);
  manifest.sources = Tokenization(files, sources, tokenizer, options, writer).run();
  manifest.shards = writer.finish();
  if (manifest.shards.empty()) {
    fail_nothing_left(manifest.sources);
  }
  write_manifest(files, folder.path(), manifest);
  if (files.exists(out)) {
    files.remove(out);  // it is empty, as find_existing saw
  }
  folder.commit();
  return {.manifest = std::move(manifest), .reused = false};
}

std::string tokenize_fingerprint(FileSystem& files, std::span<const TokenizeInput> inputs,
                                 const Tokenizer& tokenizer, const TokenizeOptions& options) {
  const std::vector<TokenizeSource> sources = resolve_inputs(files, inputs, options);
  return recipe_fingerprint(tokenize_recipe(files, sources, tokenizer, options));
}

std::string overlong_name(Overlong overlong) {
  const auto* const found = std::find_if(kOverlongNames.begin(), kOverlongNames.end(),
                                         [&](const auto& pair) { return pair.first == overlong; });
  return found->second;
}

Overlong overlong_from_name(const std::string& name) {
  for (const auto& [overlong, word] : kOverlongNames) {
    if (name == word) {
      return overlong;
    }
  }
  fail_config("overlong is '{}', expected truncate, drop, split or error", printable(name));
}

}  // namespace weft::data
