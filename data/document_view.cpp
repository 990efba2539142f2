#include "data/document_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "data/tokenizer_utf8.h"

namespace weft::data {

namespace {

/// Characters that change how a terminal or a page shows others: controls, line separators, the
/// marks that turn the direction of text, the byte-order mark.
bool is_hidden(std::uint32_t c) {
  return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0) || c == 0x2028 ||
         c == 0x2029 || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF || c == 0x061C;
}

/// Whether decoding finds nothing: a spare row of the embedding.
std::string token_text(std::int32_t id, const Tokenizer* tokenizer) {
  if (tokenizer == nullptr) {
    return fmt::format("{} ", id);
  }
  std::string bytes = tokenizer->token_bytes(id);
  return bytes.empty() ? fmt::format("<id {}>", id) : bytes;
}

bool is_control(std::int32_t id, const Tokenizer* tokenizer) {
  return tokenizer != nullptr && (tokenizer->is_special(id) || tokenizer->token_bytes(id).empty());
}

/// Cuts a document into pieces, token by token.
class Viewer {
 public:
  Viewer(const Document& document, const Tokenizer* tokenizer, bool each_token)
      : document_(document), tokenizer_(tokenizer), each_token_(each_token) {}

  void add_range(std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      add(i);
    }
  }

  void add_gap(std::int64_t begin, std::int64_t end) {
    if (begin < end) {
      pieces_.push_back(
          {.kind = ViewPiece::Kind::kGap,
           .first_token = begin,
           .tokens = end - begin,
           .text = fmt::format("… {} token{} …", end - begin, end - begin == 1 ? "" : "s")});
    }
  }

  std::vector<ViewPiece> finish() {
    for (ViewPiece& piece : pieces_) {
      piece.text = visible_text(piece.text);
    }
    return std::move(pieces_);
  }

 private:
  void add(std::int64_t i) {
    const std::int32_t id = document_.ids[static_cast<std::size_t>(i)];
    const bool target = document_.mask[static_cast<std::size_t>(i)] != 0;
    const bool control = is_control(id, tokenizer_);
    std::string text = token_text(id, tokenizer_);
    const bool joins = !pieces_.empty() && !each_token_ && !control &&
                       pieces_.back().kind == ViewPiece::Kind::kText &&
                       pieces_.back().target == target;
    if (joins) {
      pieces_.back().text += text;
      ++pieces_.back().tokens;
    } else {
      pieces_.push_back({.kind = control ? ViewPiece::Kind::kSpecial : ViewPiece::Kind::kText,
                         .target = target,
                         .first_token = i,
                         .text = std::move(text)});
    }
  }

  const Document& document_;
  const Tokenizer* tokenizer_;
  bool each_token_;
  std::vector<ViewPiece> pieces_;
};

std::string html_class(const ViewPiece& piece) {
  std::string names = piece.target ? "target" : "";
  if (piece.kind != ViewPiece::Kind::kText) {
    names += names.empty() ? "" : " ";
    names += piece.kind == ViewPiece::Kind::kSpecial ? "special" : "gap";
  }
  return names;
}

std::string_view color_of(const ViewPiece& piece) {
  if (piece.kind == ViewPiece::Kind::kGap) {
    return "\x1b[2m";
  }
  if (piece.kind == ViewPiece::Kind::kSpecial) {
    return piece.target ? "\x1b[1;35m" : "\x1b[35m";
  }
  return piece.target ? "\x1b[32m" : "";
}

}  // namespace

std::vector<ViewPiece> view_document(const Document& document, const Tokenizer* tokenizer,
                                     const ViewOptions& options) {
  Viewer viewer(document, tokenizer, options.each_token);
  const std::int64_t size = document.size();
  if (size <= options.max_tokens) {
    viewer.add_range(0, size);
    return viewer.finish();
  }
  const auto first = std::find(document.mask.begin(), document.mask.end(), 1);
  const std::int64_t target = first - document.mask.begin();
  const std::int64_t half = std::max<std::int64_t>(options.max_tokens / 2, 1);
  if (target >= size || target < half) {
    viewer.add_range(0, 2 * half);
    viewer.add_gap(2 * half, size);
    return viewer.finish();
  }
  const std::int64_t begin = std::max(half, target - half / 4);
  const std::int64_t end = std::min(begin + half, size);
  viewer.add_range(0, half);
  viewer.add_gap(half, begin);
  viewer.add_range(begin, end);
  viewer.add_gap(end, size);
  return viewer.finish();
}

std::string visible_text(std::string_view text) {
  std::string visible;
  visible.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_char_at(text, at);
    if (c.code_point == kInvalidByte) {
      visible += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[at]));
    } else if (is_hidden(c.code_point)) {
      visible += c.code_point < 0x80 ? fmt::format("\\x{:02x}", c.code_point)
                                     : fmt::format("\\u{:04x}", c.code_point);
    } else {
      visible += text.substr(at, c.size);
    }
    at += c.size;
  }
  return visible;
}

std::string view_text(const std::vector<ViewPiece>& pieces, ViewStyle style, bool each_token) {
  std::string text;
  bool in_target = false;
  const auto mark = [&](bool target) {
    if (style == ViewStyle::kMarkers && target != in_target) {
      text += target ? "⟦" : "⟧";
      in_target = target;
    }
  };
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const ViewPiece& piece = pieces[i];
    mark(piece.target);
    if (each_token && i > 0) {
      text += "│";
    }
    if (style == ViewStyle::kColor) {
      const std::string_view color = color_of(piece);
      text += color.empty() ? piece.text : fmt::format("{}{}\x1b[0m", color, piece.text);
    } else {
      text += piece.kind == ViewPiece::Kind::kSpecial ? "‹" + piece.text + "›" : piece.text;
    }
  }
  mark(false);
  return text;
}

std::string escape_html(std::string_view text) {
  static constexpr std::array<std::pair<char, std::string_view>, 5> kNames{
      {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}}};
  std::string escaped;
  escaped.reserve(text.size());
  for (const char c : text) {
    const auto* const found = std::find_if(kNames.begin(), kNames.end(),
                                           [&](const auto& name) { return name.first == c; });
    if (found == kNames.end()) {
      escaped += c;
    } else {
      escaped += found->second;
    }
  }
  return escaped;
}

std::string view_html(const std::vector<ViewPiece>& pieces, bool each_token) {
  std::string html;
  for (const ViewPiece& piece : pieces) {
    const std::string names = html_class(piece);
    const std::string text = escape_html(piece.text);
    if (names.empty() && !each_token) {
      html += text;
    } else {
      html += fmt::format("<span class=\"{}{}{}\">{}</span>", each_token ? "token" : "",
                          each_token && !names.empty() ? " " : "", names, text);
    }
  }
  return html;
}

}  // namespace weft::data
