#include "data/pretokenizer.h"

namespace weft::data {

inline QwenSplitter::Char QwenSplitter::char_at(std::size_t at) const {
  const auto first = static_cast<std::uint8_t>(text_[at]);
  if (first < 0x80) return {classes_[first], 1};
  const Utf8Char c = utf8_char_at(text_, at);
  return {c.code_point == kInvalidByte ? CharClass::kOther : classes_[c.code_point], c.size};
}

inline std::size_t QwenSplitter::run_end(std::size_t at, CharClass type) const {
  while (at < text_.size()) {
    const Char c = char_at(at);
    if (c.type != type) break;
    at += c.size;
  }
  return at;
}

/// (?i:'s|'t|'re|'ve|'m|'ll|'d) at the piece's begin, where an apostrophe stands; the begin itself
/// where it does not match.
std::size_t QwenSplitter::contraction_end() const {
  const std::string_view rest = text_.substr(begin_ + 1);
  const auto lower = [&](std::size_t i) {
    return i < rest.size() ? static_cast<char>(static_cast<std::uint8_t>(rest[i]) | 0x20) : '\0';
  };
  switch (lower(0)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return begin_ + 2;
    case 'r':
    case 'v':
      return lower(1) == 'e' ? begin_ + 3 : begin_;
    case 'l':
      return lower(1) == 'l' ? begin_ + 3 : begin_;
    default:
      // U+017F, the long s, is an s to a pattern that ignores case.
      return rest.starts_with("\xC5\xBF") ? begin_ + 3 : begin_;
  }
}

/// [^\s\p{L}\p{N}]+[\r\n]* from `at`, where the first character has matched.
std::size_t QwenSplitter::punctuation_end(std::size_t at) const {
  return run_end(run_end(at, CharClass::kOther), CharClass::kNewline);
}

/// \s*[\r\n]+|\s+(?!\S)|\s+ from the piece's begin, where white space stands: up to the last
/// newline of the run; else the run without its last character if something follows; else all of
/// it.
std::size_t QwenSplitter::space_end() const {
  std::size_t at = begin_;
  std::size_t last = begin_;
  std::size_t after_newline = 0;
  while (at < text_.size()) {
    const Char c = char_at(at);
    if (c.type != CharClass::kSpace && c.type != CharClass::kNewline) break;
    last = at;
    at += c.size;
    if (c.type == CharClass::kNewline) after_newline = at;
  }
  if (after_newline > 0) return after_newline;
  return at == text_.size() || last == begin_ ? at : last;
}

std::size_t QwenSplitter::piece_end() const {
  const char first = text_[begin_];
  if (first == '\'') {
    if (const std::size_t end = contraction_end(); end != begin_) return end;
  }
  const Char c = char_at(begin_);
  const std::size_t second = begin_ + c.size;
  switch (c.type) {
    case CharClass::kLetter:
      return run_end(second, CharClass::kLetter);
    case CharClass::kNumber:
      return second;
    case CharClass::kNewline:
      return space_end();
    case CharClass::kSpace:
    case CharClass::kOther:
      break;
  }
  const CharClass next = second < text_.size() ? char_at(second).type : CharClass::kNewline;
  if (next == CharClass::kLetter) return run_end(second, CharClass::kLetter);
  if (c.type == CharClass::kOther) return punctuation_end(second);
  return first == ' ' && next == CharClass::kOther ? punctuation_end(second) : space_end();
}

std::string_view QwenSplitter::next() {
  const std::size_t end = piece_end();
  const std::string_view piece = text_.substr(begin_, end - begin_);
  begin_ = end;
  return piece;
}

}  // namespace weft::data
