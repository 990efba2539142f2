#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/document.h"
#include "data/tokenizer.h"

namespace weft::data {

/// A stretch of a document as a person reads it.
struct ViewPiece {
  enum class Kind {
    kText,
    kSpecial,  ///< one control token, by its name
    kGap,      ///< tokens that are left out; `text` says how many
  };
  Kind kind = Kind::kText;
  bool target = false;
  std::int64_t first_token = 0;
  std::int64_t tokens = 1;
  /// Valid UTF-8 without control characters but newline and tab: others, and bytes that are no
  /// character, are written as \x1b, \u202e, \xe4.
  std::string text;
};

struct ViewOptions {
  bool each_token = false;  ///< a piece for each token instead of each stretch of a kind
  /// Of a longer document, its beginning and the surroundings of its first target are shown, about
  /// so many tokens in all.
  std::int64_t max_tokens = std::int64_t{1} << 40;
};

/// The pieces of a document, in order. Without a tokenizer (nullptr) texts are the ids. A character
/// whose bytes are cut by the border of a piece shows as bytes.
[[nodiscard]] std::vector<ViewPiece> view_document(const Document& document,
                                                   const Tokenizer* tokenizer,
                                                   const ViewOptions& options = {});

/// `text` as ViewPiece::text has it: safe for a terminal.
[[nodiscard]] std::string visible_text(std::string_view text);

/// How targets and control tokens are told apart in a text.
enum class ViewStyle {
  kColor,    ///< ANSI colours: targets green, control tokens magenta
  kMarkers,  ///< targets in ⟦…⟧, control tokens in ‹…›
};

/// The pieces as text for a terminal or a pipe; with `each_token`, "│" stands between tokens.
[[nodiscard]] std::string view_text(const std::vector<ViewPiece>& pieces, ViewStyle style,
                                    bool each_token = false);

/// The pieces as HTML: <span class="target">, class "special", class "gap".
[[nodiscard]] std::string view_html(const std::vector<ViewPiece>& pieces, bool each_token = false);

/// `text` with &, <, > and quotes as HTML has them.
[[nodiscard]] std::string escape_html(std::string_view text);

}  // namespace weft::data
