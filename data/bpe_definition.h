#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/json.h"
#include "data/bpe_merges.h"
#include "data/bpe_vocabulary.h"
#include "data/tokenizer_added.h"

namespace weft::data {

/// What the files of a byte-level BPE tokenizer say.
struct BpeDefinition {
  BpeVocabulary vocabulary;
  std::vector<BpeMerge> merges;  ///< by rank, no pair twice
  AddedTokens added;
  bool nfc = true;  ///< bring the text into composed form first
};

/// Reads a tokenizer.json. Refuses, by name, every normaliser, pre-tokenizer, model and decoder but
/// those of Qwen2 and Qwen3. Its post-processor, truncation and padding are not used: encode adds
/// no tokens. Data Errors name the file and the member.
[[nodiscard]] BpeDefinition read_tokenizer_json(FileSystem& files, const fs::path& path);

/// Reads vocab.json, merges.txt and the added tokens of tokenizer_config.json in `folder`, which
/// must be those of a Qwen2 tokenizer.
[[nodiscard]] BpeDefinition read_vocab_and_merges(FileSystem& files, const fs::path& folder);

/// The byte-level BPE of a model folder, in whichever of the two forms it has; a data Error when it
/// has neither.
[[nodiscard]] BpeDefinition read_bpe_folder(FileSystem& files, const fs::path& folder);

/// Resolves the tokens and merges of files: `vocab` is the object of spelled tokens and ids.
[[nodiscard]] BpeVocabulary read_vocabulary(const Json& vocab, std::string_view name);

/// Collects merges, given as they are spelled.
class BpeMergeReader {
 public:
  BpeMergeReader(const BpeVocabulary& vocabulary, std::string name)
      : vocabulary_(vocabulary), name_(std::move(name)) {}

  /// A data Error when the vocabulary lacks one of the two or what they become.
  void add(std::string_view left, std::string_view right);
  /// "left right"
  void add(std::string_view line);
  /// A data Error when a pair stands twice.
  [[nodiscard]] std::vector<BpeMerge> finish();

 private:
  [[nodiscard]] std::int32_t find(const std::string& bytes, std::string_view line) const;

  const BpeVocabulary& vocabulary_;
  std::string name_;
  std::vector<BpeMerge> merges_;
};

/// One entry of `added_tokens`, or of `added_tokens_decoder` with its id given apart.
[[nodiscard]] AddedToken read_added_token(const Json& entry, std::int64_t id,
                                          std::string_view name);

/// A data Error when an added token has the id of another token of the vocabulary, or its name is a
/// token with another id.
void check_added_tokens(const BpeVocabulary& vocabulary, const AddedTokens& added,
                        std::string_view name);

}  // namespace weft::data
