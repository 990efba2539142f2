#include "data/tokenizer_nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "data/tokenizer_utf8.h"

namespace weft::data {

namespace {

constexpr std::uint32_t kFirstMark = 0x300;  // nothing below it interacts with what is before it
constexpr std::uint32_t kEnd = 0x30000;      // nor anything from here on
constexpr utf8proc_option_t kCompose =
    static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);

struct Range {
  std::uint32_t first;
  std::uint32_t last;
};

// Marks that utf8proc reorders or composes and `tokenizers` (Unicode 9 tables) does not. Written by
// tests/oracle/tokenizer_tables.py.
constexpr std::array kInert{
    Range{0x07FD, 0x07FD},   Range{0x0898, 0x089F},   Range{0x08CA, 0x08D3},
    Range{0x09FE, 0x09FE},   Range{0x0C3C, 0x0C3C},   Range{0x0D3B, 0x0D3C},
    Range{0x0EBA, 0x0EBA},   Range{0x1715, 0x1715},   Range{0x1ABF, 0x1ACE},
    Range{0x1DF6, 0x1DFA},   Range{0xA82C, 0xA82C},   Range{0x10D24, 0x10D27},
    Range{0x10EAB, 0x10EAC}, Range{0x10EFD, 0x10EFF}, Range{0x10F46, 0x10F50},
    Range{0x10F82, 0x10F85}, Range{0x11070, 0x11070}, Range{0x1133B, 0x1133B},
    Range{0x1145E, 0x1145E}, Range{0x11839, 0x1183A}, Range{0x11930, 0x11930},
    Range{0x1193D, 0x1193E}, Range{0x11943, 0x11943}, Range{0x119E0, 0x119E0},
    Range{0x11A34, 0x11A34}, Range{0x11A47, 0x11A47}, Range{0x11A99, 0x11A99},
    Range{0x11D42, 0x11D42}, Range{0x11D44, 0x11D45}, Range{0x11D97, 0x11D97},
    Range{0x11F41, 0x11F42}, Range{0x16FF0, 0x16FF1}, Range{0x1E08F, 0x1E08F},
    Range{0x1E130, 0x1E136}, Range{0x1E2AE, 0x1E2AE}, Range{0x1E2EC, 0x1E2EF},
    Range{0x1E4EC, 0x1E4EF},
};

bool is_inert(std::uint32_t code_point) {
  const auto* after =
      std::upper_bound(kInert.begin(), kInert.end(), code_point,
                       [](std::uint32_t value, const Range& range) { return value < range.first; });
  return after != kInert.begin() && code_point <= (after - 1)->last;
}

/// Appends the full canonical decomposition of one character.
void append_decomposed(std::uint32_t code_point, std::vector<utf8proc_int32_t>& out) {
  std::array<utf8proc_int32_t, 32> parts{};
  int boundary = 0;
  const auto count =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code_point), parts.data(),
                              static_cast<utf8proc_ssize_t>(parts.size()), kCompose, &boundary);
  if (count < 0 || count > static_cast<utf8proc_ssize_t>(parts.size())) {
    fail_internal("utf8proc cannot decompose U+{:04X}: {}", code_point, utf8proc_errmsg(count));
  }
  out.insert(out.end(), parts.begin(), parts.begin() + count);
}

/// The characters that can differ from their composed form, or that interact with what is before
/// them: Unicode's NFC_Quick_Check = No or Maybe, and every combining mark. All others are
/// boundaries: text may be cut before them and composed piece by piece.
using Interacting = std::bitset<kEnd>;

Interacting find_interacting() {
  Interacting result;
  std::vector<utf8proc_int32_t> parts;
  for (std::uint32_t c = kFirstMark; c < kEnd; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    if (utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class != 0) {
      result.set(c);
    }
    parts.clear();
    append_decomposed(c, parts);
    if (parts.size() == 1 && parts[0] == static_cast<utf8proc_int32_t>(c)) continue;
    const auto last = static_cast<std::uint32_t>(parts.back());
    const auto size = utf8proc_normalize_utf32(
        parts.data(), static_cast<utf8proc_ssize_t>(parts.size()), kCompose);
    if (size == 1 && parts[0] == static_cast<utf8proc_int32_t>(c)) {
      result.set(last);  // the second half of a pair that composes
    } else {
      result.set(c);
    }
  }
  for (const Range& range : kInert) {
    for (std::uint32_t c = range.first; c <= range.last; ++c) result.reset(c);
  }
  return result;
}

int combining_class(utf8proc_int32_t code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

/// Puts each run of marks into canonical order. utf8proc's own sort is quadratic.
void sort_marks(std::vector<utf8proc_int32_t>& text) {
  auto begin = text.begin();
  while (begin != text.end()) {
    begin = std::find_if(begin, text.end(), [](auto c) { return combining_class(c) != 0; });
    const auto end =
        std::find_if(begin, text.end(), [](auto c) { return combining_class(c) == 0; });
    std::stable_sort(begin, end,
                     [](auto a, auto b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

void append_composed(std::string_view slice, std::string& out) {
  std::vector<utf8proc_int32_t> text;
  for (std::size_t at = 0; at < slice.size();) {
    const Utf8Char c = utf8_char_at(slice, at);
    append_decomposed(c.code_point, text);
    at += c.size;
  }
  sort_marks(text);
  const auto size =
      utf8proc_normalize_utf32(text.data(), static_cast<utf8proc_ssize_t>(text.size()), kCompose);
  if (size < 0) fail_internal("utf8proc cannot compose text: {}", utf8proc_errmsg(size));
  for (utf8proc_ssize_t i = 0; i < size; ++i) {
    append_utf8(out, static_cast<std::uint32_t>(text[static_cast<std::size_t>(i)]));
  }
}

/// The first byte at or after `at` that is not ASCII.
std::size_t skip_ascii(std::string_view text, std::size_t at) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080;
  std::uint64_t eight = 0;
  while (at + sizeof eight <= text.size()) {
    std::memcpy(&eight, text.data() + at, sizeof eight);
    if ((eight & kHighBits) != 0) break;
    at += sizeof eight;
  }
  while (at < text.size() && static_cast<std::uint8_t>(text[at]) < 0x80) ++at;
  return at;
}

/// Whether an ideograph of U+4000 to U+9FFF begins at `at`: none of them interacts.
bool is_ideograph(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[at + i]); };
  return text.size() - at >= 3 && byte(0) >= 0xE4 && byte(0) <= 0xE9 && (byte(1) & 0xC0) == 0x80 &&
         (byte(2) & 0xC0) == 0x80;
}

/// The first byte at or after `at` that is neither ASCII nor of an ideograph.
std::size_t skip_plain(std::string_view text, std::size_t at) {
  for (at = skip_ascii(text, at); at < text.size() && is_ideograph(text, at);) {
    at += 3;
    if (at < text.size() && static_cast<std::uint8_t>(text[at]) < 0x80) at = skip_ascii(text, at);
  }
  return at;
}

bool interacts(const Interacting& interacting, std::uint32_t code_point) {
  return code_point < kEnd && interacting[code_point];
}

/// Where a slice that has an interacting character at `at` must begin: at the character before it,
/// unless that one is inert, not UTF-8, or before `floor`.
std::size_t slice_begin(std::string_view text, std::size_t at, std::size_t floor) {
  for (std::size_t size = 1; size <= 4 && floor + size <= at; ++size) {
    const Utf8Char before = utf8_char_at(text, at - size);
    if (before.code_point != kInvalidByte && before.size == size) {
      return is_inert(before.code_point) ? at : at - size;
    }
  }
  return at;
}

}  // namespace

std::string_view normalize_nfc(std::string_view text, std::string& buffer) {
  static const Interacting kInteracting = find_interacting();
  buffer.clear();
  std::size_t copied = 0;  // text before it is in the buffer, composed
  for (std::size_t at = skip_plain(text, 0); at < text.size(); at = skip_plain(text, at)) {
    Utf8Char c = utf8_char_at(text, at);
    if (!interacts(kInteracting, c.code_point)) {
      at += c.size;
      continue;
    }
    const std::size_t begin = slice_begin(text, at, copied);
    do {
      at += c.size;
      if (at == text.size()) break;
      c = utf8_char_at(text, at);
    } while (interacts(kInteracting, c.code_point));
    buffer.append(text, copied, begin - copied);
    append_composed(text.substr(begin, at - begin), buffer);
    copied = at;
  }
  if (copied == 0) return text;
  buffer.append(text, copied);
  return buffer;
}

}  // namespace weft::data
