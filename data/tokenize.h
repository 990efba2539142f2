#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "data/chat.h"
#include "data/manifest.h"
#include "data/overlong.h"
#include "data/row_columns.h"
#include "data/shard_writer.h"
#include "data/tokenizer.h"

namespace weft::data {

/// One entry of `datasets`.
struct TokenizeInput {
  /// A file, a folder (its files and those of the folders in it) or a pattern, as file_patterns.h
  /// says; "#5000" at its end is sample = 5000.
  fs::path path = {};
  std::string format = "auto";  ///< auto, text, ids, or one of row_shapes()
  std::string sample_by =
      "line";  ///< a document of a text file: line, paragraph, document (the file) or separator
  std::string separator = {};  ///< for sample_by separator: the line that stands between documents
  std::string text_field = "text";  ///< of JSON rows with plain text
  std::string prompt_field =
      {};  ///< of JSON rows with a question and an answer; set both or neither
  std::string response_field = {};
  RowFields fields = {};            ///< columns and tags that the data calls otherwise
  std::string preference = "pair";  ///< of preference pairs: keep the pair, or what was chosen
  /// Share of the documents of a run's epochs; does not change the shards. Set on all or none.
  std::optional<double> weight = {};
  /// Read exactly so many rows, drawn by sample_seed; more than there are is a data Error.
  std::optional<std::int64_t> sample = {};
  std::int64_t sample_seed = 42;
  std::optional<std::int64_t> max_samples = {};  ///< read the first so many rows at most

  bool operator==(const TokenizeInput&) const = default;
};

/// Setting rows aside for validation, by a hash of what they say: a row stays on its side when rows
/// are added, removed or reordered, equal rows are on one side, and the tokenizer has no say.
struct ValidationSplit {
  /// Below 1: this share of the rows, on average. From 1: exactly so many different rows of all
  /// datasets together, those with the smallest hashes, which costs another pass over them; rows
  /// added later may then take the place of some.
  double size = 0.0;
  bool validation = false;  ///< tokenise what is set aside, or all the rest
};

/// "" for a size that can be, else what is wrong with it.
[[nodiscard]] std::string val_size_problem(double size);

enum class TokenizeStage {
  kHashing,     ///< reads the inputs to see whether their shards are there already
  kChoosing,    ///< reads rows to find those for validation, or what an earlier run has seen
  kTokenizing,  ///< makes the shards
};

struct TokenizeProgress {
  TokenizeStage stage = TokenizeStage::kTokenizing;
  std::uint64_t bytes = 0;          ///< of the inputs, done
  std::uint64_t resumed_bytes = 0;  ///< of these, what an earlier run that was stopped had done
  std::uint64_t total_bytes = 0;
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
};

struct TokenizeOptions {
  std::optional<std::int64_t> max_length;  ///< at least 2; not set: documents keep their length
  Overlong overlong = Overlong::kTruncate;
  ShardOptions shards;
  std::optional<ValidationSplit> split;
  /// Leave out rows that say the same as an earlier one of any dataset; up to 48 bytes of memory a
  /// row.
  bool deduplicate = false;
  /// Appended to each plain text; "" means <|endoftext|>, or </s> where the tokenizer has no such
  /// token.
  std::string end_token;
  ChatOptions chat;
  std::uint64_t max_row_bytes = std::uint64_t{64} << 20;
  /// 0: one for each processor. The shards do not depend on it.
  int threads = 0;
  /// The folder of the tokenizer, for the report beside the shards; the shards do not depend on it.
  std::string model;
  /// Called between batches of rows, from the calling thread.
  std::function<void(const TokenizeProgress&)> progress;
};

struct TokenizeResult {
  fs::path folder;
  Manifest manifest;
  bool reused = false;  ///< the folder already held the shards of these inputs and options
  std::int64_t resumed_shards = 0;  ///< shards that an earlier run, which was stopped, had finished
};

/// Tokenises raw files into a folder of shards that appears whole or not at all. A folder that
/// holds the shards of the same inputs, tokenizer and options (recognised by fingerprint, file
/// contents included) is left as it is. What a run that was stopped left behind (tokenize_work.h)
/// is taken up where it ended: the shards are those of a run that was not stopped, byte for byte.
/// Text documents train every token but the first; rows of ids and labels pass through untouched;
/// chats train what the chat format says. What was guessed of each dataset's rows is logged.
///
/// Errors: config Errors for options that cannot be and for an `out_folder` that holds something
/// else, with what differs, or that another process works on; data Errors `FILE:LINE: …` for the
/// first bad row; a data Error when no document is left.
[[nodiscard]] TokenizeResult tokenize_to_shards(FileSystem& files,
                                                std::span<const TokenizeInput> inputs,
                                                const Tokenizer& tokenizer,
                                                const TokenizeOptions& options,
                                                const fs::path& out_folder);

/// The same into CACHE/FINGERPRINT, a folder named by the inputs, tokenizer and options, so that
/// other ones find their own. The inputs are read once to name it.
[[nodiscard]] TokenizeResult tokenize_to_cache(FileSystem& files,
                                               std::span<const TokenizeInput> inputs,
                                               const Tokenizer& tokenizer,
                                               const TokenizeOptions& options,
                                               const fs::path& cache);

/// The fingerprint that tokenize_to_shards gives its shards. Reads every input once.
[[nodiscard]] std::string tokenize_fingerprint(FileSystem& files,
                                               std::span<const TokenizeInput> inputs,
                                               const Tokenizer& tokenizer,
                                               const TokenizeOptions& options);

/// "truncate", "drop", "split", "error", and back; a config Error for another word.
[[nodiscard]] std::string overlong_name(Overlong overlong);
[[nodiscard]] Overlong overlong_from_name(const std::string& name);

}  // namespace weft::data
