#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/bpe_definition.h"
#include "data/bpe_ideographs.h"
#include "data/bpe_piece_cache.h"
#include "data/tokenizer.h"

namespace weft::data {

/// The byte-level BPE of Qwen2 and Qwen3. A text goes through added tokens (when parsed), NFC, the
/// split into pieces, and the merges of each piece, which start from its bytes.
class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(BpeDefinition definition);

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
  /// Working memory of one call of encode.
  struct Scratch {
    std::string composed;
    std::vector<std::int32_t> word;
    std::unique_ptr<BpePieceCache> cache;
  };

  void encode_raw(std::string_view text, SpecialTokens special, Scratch& scratch,
                  std::vector<std::int32_t>& out) const;
  void encode_pieces(std::string_view text, Scratch& scratch, std::vector<std::int32_t>& out) const;
  void encode_piece(std::string_view piece, Scratch& scratch, std::vector<std::int32_t>& out) const;
  void merge(std::string_view piece, std::vector<std::int32_t>& word) const;
  [[nodiscard]] bool is_whole(std::string_view piece, std::int32_t id, Scratch& scratch) const;
  [[nodiscard]] std::string fingerprint(const BpeDefinition& definition) const;

  BpeVocabulary vocabulary_;
  BpeMerges merges_;
  BpeIdeographs ideographs_;
  AddedTokens added_;
  bool nfc_;
  std::vector<std::string_view> bytes_;  // by id; of vocabulary_ and added_
  std::vector<bool> special_;            // by id
  /// By id: whether the merges of a token's own bytes end in that token. Found out on first use,
  /// and then a piece that is a token needs no merging.
  enum Whole : std::uint8_t { kUnknown, kYes, kNo };
  std::unique_ptr<std::atomic<std::uint8_t>[]> whole_;
  mutable BpePieceCaches caches_;
  std::string sha256_;
};

}  // namespace weft::data
