#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"
#include "data/tokenizer_added.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace weft::data {

/// A SentencePiece model (`tokenizer.model`), unigram or BPE.
///
/// Its control pieces are the added tokens, and so are user-defined pieces that look like control
/// tokens (<|im_start|>) or are tags of the chat format (<think>): those the library would find in
/// any text, so weft tells it that they are control pieces, and plain text never becomes them.
/// Other user-defined pieces are vocabulary. decode skips control pieces and <|…|>, on request.
///
/// Text comes back exactly from a model that weft trained (byte fallback, no normalisation), except
/// that U+2581, by which SentencePiece writes a space, comes back as a space. From other models it
/// comes back as they keep it: an unknown character as U+2047, runs of spaces perhaps as one.
class SentencePieceTokenizer final : public Tokenizer {
 public:
  /// Takes the bytes of the file; a data Error that starts with `name` when they are no such model.
  SentencePieceTokenizer(std::string model, std::string_view name);
  ~SentencePieceTokenizer() override;

  void encode(std::string_view text, SpecialTokens special,
              std::vector<std::int32_t>& out) const override;
  [[nodiscard]] std::string decode(std::span<const std::int32_t> ids,
                                   bool skip_special) const override;
  [[nodiscard]] std::string token_bytes(std::int32_t id) const override;
  [[nodiscard]] std::optional<std::int32_t> token_id(std::string_view added_token) const override;
  [[nodiscard]] bool is_special(std::int32_t id) const override;
  [[nodiscard]] std::int64_t vocab_size() const override {
    return static_cast<std::int64_t>(bytes_.size());
  }
  [[nodiscard]] const std::string& sha256() const override { return sha256_; }

 private:
  void encode_text(std::string_view text, std::vector<std::int32_t>& out) const;
  void encode_utf8(std::string_view text, std::vector<std::int32_t>& out) const;

  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  std::vector<std::string> bytes_;  // by id
  std::vector<bool> special_;       // by id
  AddedTokens added_;
  std::array<std::int32_t, 256> byte_ids_{};  // the unknown piece where there is no byte piece
  bool dummy_prefix_ = false;
  std::string sha256_;
};

}  // namespace weft::data
