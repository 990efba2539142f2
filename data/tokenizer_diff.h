#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"

namespace weft::data {

/// How the vocabularies of two tokenizers differ. Tokens are compared by the bytes that they add to
/// a text.
struct VocabularyDiff {
  std::vector<std::string> only_first;   ///< in order of ids
  std::vector<std::string> only_second;  ///< in order of ids
  std::int64_t same = 0;                 ///< tokens with the same id in both
  std::int64_t moved = 0;                ///< tokens that have another id in the second
};
[[nodiscard]] VocabularyDiff diff_vocabularies(const Tokenizer& first, const Tokenizer& second);

/// A stretch of a text at whose ends both tokenizers cut, and the cuts inside.
struct TextDiffPart {
  std::vector<std::string> first;   ///< tokens
  std::vector<std::string> second;  ///< tokens of the same bytes
  std::vector<std::int32_t> first_ids;
  std::vector<std::int32_t> second_ids;
  std::size_t begin = 0;  ///< byte of the text

  [[nodiscard]] bool same() const { return first == second; }
};

/// How two tokenizers cut one text. A data Error when they do not keep the same bytes of it (one
/// brings it into another Unicode form, or replaces what it does not know).
[[nodiscard]] std::vector<TextDiffPart> diff_text(const Tokenizer& first, const Tokenizer& second,
                                                  std::string_view text, SpecialTokens special);

}  // namespace weft::data
