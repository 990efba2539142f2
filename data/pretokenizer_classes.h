#pragma once

#include <cstdint>

namespace weft::data {

/// What the split pattern of a byte-level BPE can ask about a character.
enum class CharClass : std::uint8_t {
  kOther,   ///< neither of the others: punctuation, symbols, marks, and bytes that are not UTF-8
  kLetter,  ///< \p{L}
  kNumber,  ///< \p{N}
  kSpace,   ///< \s, except for the next
  kNewline  ///< \r and \n
};

/// The class of each code point from 0 to 0x10FFFF, one byte each, by the Unicode tables that
/// Hugging Face's `tokenizers` uses (so that ids do not depend on the machine's libraries). Built
/// on first use; lives as long as the process.
[[nodiscard]] const CharClass* char_classes();

}  // namespace weft::data
