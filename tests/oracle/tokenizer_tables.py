"""Writes data/pretokenizer_classes.cpp: the character classes of the `tokenizers` library.

    pip install tokenizers==0.23.3
    python tests/oracle/tokenizer_tables.py > data/pretokenizer_classes.cpp
    clang-format -i data/pretokenizer_classes.cpp

With --marks it prints instead the characters that utf8proc's NFC treats otherwise than the library
does (the table in data/tokenizer_nfc.cpp).
"""

import argparse
import ctypes

from tokenizers import Regex, normalizers, pre_tokenizers

CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def ranges(code_points):
    out = []
    for c in code_points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def members(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "removed")
    return [c for c in CODE_POINTS if not split.pre_tokenize_str(chr(c))]


def array(name, rows):
    body = ", ".join("{0x%04X, 0x%04X}" % tuple(row) for row in rows)
    return "constexpr Range %s[] = {%s};\n" % (name, body)


def classes():
    newline = {10, 13}
    space = [c for c in members(r"\s") if c not in newline]
    return f"""#include "data/pretokenizer_classes.h"

#include <algorithm>
#include <span>
#include <vector>

namespace weft::data {{

namespace {{

struct Range {{
  std::uint32_t first;
  std::uint32_t last;
}};

// Written by tests/oracle/tokenizer_tables.py.
{array("kLetters", ranges(members(chr(92) + "p{L}")))}
{array("kNumbers", ranges(members(chr(92) + "p{N}")))}
{array("kSpaces", ranges(space))}
std::vector<CharClass> build_classes() {{
  std::vector<CharClass> classes(0x110000, CharClass::kOther);
  const auto fill = [&](std::span<const Range> ranges, CharClass type) {{
    for (const Range& range : ranges) {{
      std::fill(classes.begin() + range.first, classes.begin() + range.last + 1, type);
    }}
  }};
  fill(kLetters, CharClass::kLetter);
  fill(kNumbers, CharClass::kNumber);
  fill(kSpaces, CharClass::kSpace);
  classes['\\r'] = CharClass::kNewline;
  classes['\\n'] = CharClass::kNewline;
  return classes;
}}

}}  // namespace

const CharClass* char_classes() {{
  static const std::vector<CharClass> kClasses = build_classes();
  return kClasses.data();
}}

}}  // namespace weft::data
"""


def marks():
    library = ctypes.CDLL("libutf8proc.so.2")
    library.utf8proc_NFC.restype = ctypes.c_void_p
    libc = ctypes.CDLL(None)
    nfc = normalizers.NFC()

    def compose(text):
        pointer = library.utf8proc_NFC(text.encode())
        result = ctypes.string_at(pointer).decode()
        libc.free(ctypes.c_void_p(pointer))
        return result

    def differs(c):
        texts = (chr(c), "a\u0345" + chr(c), "a" + chr(c) + "\u0334")
        return any(compose(text) != nfc.normalize_str(text) for text in texts)

    for first, last in ranges([c for c in CODE_POINTS if c and differs(c)]):
        print("Range{0x%04X, 0x%04X}," % (first, last))
    print("// and U+11930, with which U+11935 composes since Unicode 13")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--marks", action="store_true")
    if parser.parse_args().marks:
        marks()
    else:
        print(classes(), end="")
