#pragma once

#include <string_view>

#include "data/pretokenizer_classes.h"
#include "data/tokenizer_utf8.h"

namespace weft::data {

/// The split pattern of the Qwen2 and Qwen3 tokenizers, as their tokenizer.json spells it.
inline constexpr std::string_view kQwenSplitPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

/// Cuts a text into the pieces (pre-tokens) that kQwenSplitPattern matches, one after another and
/// without gaps. Written by hand for this one pattern: it looks at each character a fixed number of
/// times, whatever the text is, and follows one version of Unicode. A byte that is not UTF-8 counts
/// as a character that is no letter, number or space.
class QwenSplitter {
 public:
  explicit QwenSplitter(std::string_view text) : text_(text) {}

  [[nodiscard]] bool done() const { return begin_ == text_.size(); }
  /// The next piece, a view into the text; never empty. Must not be called once done().
  [[nodiscard]] std::string_view next();

 private:
  struct Char {
    CharClass type;
    std::uint32_t size;
  };

  [[nodiscard]] Char char_at(std::size_t at) const;
  [[nodiscard]] std::size_t run_end(std::size_t at, CharClass type) const;
  [[nodiscard]] std::size_t contraction_end() const;
  [[nodiscard]] std::size_t punctuation_end(std::size_t at) const;
  [[nodiscard]] std::size_t space_end() const;
  [[nodiscard]] std::size_t piece_end() const;

  std::string_view text_;
  std::size_t begin_ = 0;
  const CharClass* classes_ = char_classes();
};

}  // namespace weft::data
