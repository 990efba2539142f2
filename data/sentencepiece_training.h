#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace weft::data {

struct SentencePieceTraining {
  std::string model_type = "bpe";  ///< or "unigram" (Kudo, "Subword Regularization", 2018)
  /// Ids in all: one unknown, the tokens below, 256 bytes, the corpus's characters, and merges. A
  /// corpus that has fewer merges to offer gives fewer.
  std::int64_t vocab_size = 1024;
  /// Share of the corpus's characters that get tokens of their own, 0.98 to 1; the rest is spelled
  /// in bytes. Below 1 a corpus of many scripts spends less of its vocabulary on rare characters.
  double character_coverage = 1.0;
  /// Made control tokens, which decode can skip.
  std::vector<std::string> control_tokens{"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  /// Tags, which it keeps.
  std::vector<std::string> tags{"<think>",      "</think>",        "<tool_call>",
                                "</tool_call>", "<tool_response>", "</tool_response>"};
};

/// Trains a SentencePiece model with byte fallback that keeps text as it is, one token per
/// digit. Returns the bytes of tokenizer.model. The same texts give the same bytes. A config Error
/// for options that cannot be and a vocabulary too small for the corpus's characters; a data Error
/// for an empty corpus.
[[nodiscard]] std::string train_sentencepiece(std::span<const std::string> texts,
                                              const SentencePieceTraining& options);

/// The same from files, folders and patterns (file_patterns.h), published as
/// `out_folder`/tokenizer.model. Files may be what a dataset's may be (reader.h). Rows of JSON and
/// tables give their strings (all but those under "role" and "type"), text files their lines.
/// Config Errors for files of ids; data Errors name a file that cannot be read, with the line.
void train_sentencepiece(FileSystem& files, std::span<const fs::path> corpus,
                         const SentencePieceTraining& options, const fs::path& out_folder);

}  // namespace weft::data
