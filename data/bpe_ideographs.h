#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "data/bpe_merges.h"
#include "data/bpe_vocabulary.h"

namespace weft::data {

/// The ideographs U+4000 to U+9FFF whose three bytes become one token before anything can join one
/// of them to a neighbour: the merges of such a character and of its neighbours do not depend on
/// each other, so a word may start from its token. That leaves a third of the symbols to merge.
///
/// A character is taken when both of its merges rank before every merge of one of its parts with
/// what can stand beside it, another ideograph; so only characters between ideographs, or at an end
/// of the word, may be replaced.
class BpeIdeographs {
 public:
  BpeIdeographs() = default;
  BpeIdeographs(const BpeVocabulary& vocabulary, std::span<const BpeMerge> merges);

  /// The symbols that a word starts from: tokens of ideographs and of bytes.
  void spell(std::string_view word, const BpeVocabulary& vocabulary,
             std::vector<std::int32_t>& symbols) const;

 private:
  std::vector<std::int32_t> tokens_;  ///< by code point less kFirst; -1 for those not taken
};

}  // namespace weft::data
