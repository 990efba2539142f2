#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"

namespace weft::data {

struct SentencePieceTraining {
  /// Ids in all: one unknown, the tokens below, 256 bytes, the corpus's characters, and merges. A
  /// corpus that has fewer merges to offer gives fewer.
  std::int64_t vocab_size = 1024;
  /// Made control tokens, which decode can skip.
  std::vector<std::string> control_tokens{"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  /// Tags, which it keeps.
  std::vector<std::string> tags{"<think>",      "</think>",        "<tool_call>",
                                "</tool_call>", "<tool_response>", "</tool_response>"};
};

/// Trains a SentencePiece BPE model with byte fallback that keeps text as it is, one token per
/// digit. Returns the bytes of tokenizer.model. The same texts give the same bytes. A config Error
/// for options that cannot be and a vocabulary too small for the corpus's characters; a data Error
/// for an empty corpus.
[[nodiscard]] std::string train_sentencepiece(std::span<const std::string> texts,
                                              const SentencePieceTraining& options);

/// The same from files, published as `out_folder`/tokenizer.model. A file named *.jsonl gives the
/// strings of its rows (all but those under "role" and "type"); any other is plain text. A data
/// Error names a file that cannot be read or is not UTF-8, with the line.
void train_sentencepiece(FileSystem& files, std::span<const fs::path> corpus,
                         const SentencePieceTraining& options, const fs::path& out_folder);

}  // namespace weft::data
