#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"

namespace weft::data {

/// What encode does where the text contains the name of an added token, such as "<|im_end|>".
enum class SpecialTokens {
  kPlain,  ///< encodes it as ordinary text: what data and users write never becomes a control token
  kParse,  ///< emits the token's id: for text that weft or its user controls
};

/// Turns text into token ids and back. Reads nothing after it is loaded; const calls may come from
/// several threads.
///
/// Text that is not UTF-8 is encoded too: a byte that belongs to no character becomes byte tokens,
/// so decode(encode(text)) gives the bytes back. The exceptions: byte-level BPE brings text into
/// Unicode's composed form (NFC) first where its files say so, and a SentencePiece model may keep
/// less (see sentencepiece_tokenizer.h).
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Appends the ids of `text` to `out`. Adds no start or end token.
  virtual void encode(std::string_view text, SpecialTokens special,
                      std::vector<std::int32_t>& out) const = 0;
  /// The text of `ids`: their bytes one after another, which need not be UTF-8 where the ids are
  /// cut inside a character. Ids that name no token (the spare rows of an embedding) give nothing;
  /// so do special tokens when `skip_special` is set.
  [[nodiscard]] virtual std::string decode(std::span<const std::int32_t> ids,
                                           bool skip_special) const = 0;
  /// The bytes that `id` adds to a text; "" when it names no token. For printing token by token.
  [[nodiscard]] virtual std::string token_bytes(std::int32_t id) const = 0;
  /// The id of an added (control) token by its name, such as "<|im_start|>".
  [[nodiscard]] virtual std::optional<std::int32_t> token_id(
      std::string_view added_token) const = 0;
  /// Whether decode leaves `id` out when asked to skip special tokens.
  [[nodiscard]] virtual bool is_special(std::int32_t id) const = 0;
  /// The largest id + 1. A model's embedding may have more rows.
  [[nodiscard]] virtual std::int64_t vocab_size() const = 0;
  /// Identifies the ids that this tokenizer gives: 64 hexadecimal digits. Equal for two folders
  /// whose vocabulary, merges and added tokens are equal, however their files are laid out.
  [[nodiscard]] virtual const std::string& sha256() const = 0;
};

/// Loads the tokenizer of a model folder: tokenizer.json (byte-level BPE), else vocab.json,
/// merges.txt and tokenizer_config.json (the same), else tokenizer.model (SentencePiece). A data
/// Error names the file and what is wrong with it: missing, damaged, or a kind of tokenizer that
/// weft does not have.
[[nodiscard]] std::unique_ptr<Tokenizer> load_tokenizer(FileSystem& files,
                                                        const fs::path& model_folder);

/// The names of the files in `folder` that make up its tokenizer and chat format, in a fixed order:
/// what has to go along when a model is copied, merged or saved. Empty when there are none.
[[nodiscard]] std::vector<std::string> tokenizer_files(FileSystem& files, const fs::path& folder);

/// `text` with every byte that is not part of a UTF-8 character replaced by U+FFFD, one for each
/// maximal prefix of a character, as Python, Rust and the Unicode standard do it: for printing and
/// for JSON.
[[nodiscard]] std::string replace_invalid_utf8(std::string text);

}  // namespace weft::data
