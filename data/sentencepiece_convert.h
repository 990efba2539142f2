#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe_definition.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace weft::data {

/// A byte-level BPE as the bytes of a SentencePiece BPE model with the same ids: pieces are the
/// tokens as byte-level files spell them, scored by their merges' ranks, added tokens are control
/// pieces, ids that name nothing are unused pieces, and the unknown piece that SentencePiece needs
/// comes last. The model merges inside a piece of text as the BPE does, but does not know where to
/// cut it: text has to be cut and spelled first (SpelledSentencePiece). A data Error that starts
/// with `name` when a token cannot be reached by merges that SentencePiece would choose too.
[[nodiscard]] std::string convert_to_sentencepiece(const BpeDefinition& definition,
                                                   std::string_view name);

/// A converted model at work, the steps before it done as the byte-level BPE does them: text as
/// plain text, composed, cut by the Qwen pattern, spelled. A second engine for the same ids.
class SpelledSentencePiece {
 public:
  /// `nfc` as in the definition. A data Error that starts with `name` when SentencePiece refuses.
  SpelledSentencePiece(std::string_view model, bool nfc, std::string_view name);
  ~SpelledSentencePiece();

  [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const;

 private:
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  bool nfc_;
};

/// One character for each byte, as byte-level files spell tokens: unspell_bytes the other way
/// round.
[[nodiscard]] std::string spell_bytes(std::string_view bytes);

}  // namespace weft::data
