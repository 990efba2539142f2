#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "data/content_filter.h"
#include "data/document.h"
#include "data/reader.h"
#include "data/tokenize_sources.h"

namespace weft::data {

/// A row after tokenising.
struct EncodedRow {
  /// None when the row holds no text, or is on the other side of the split.
  std::vector<Document> documents;
  /// What the row says; set where something asks for it, and never for a row that says nothing.
  std::optional<ContentHash> content;
  bool left_out = false;  ///< on the other side of the split
  bool pair = false;      ///< two documents that belong together: chosen, rejected
};

/// Turns rows of one format into documents. Safe for use from several threads.
class RowEncoder {
 public:
  virtual ~RowEncoder() = default;
  /// `name` is FILE:LINE; data Errors begin with it.
  [[nodiscard]] virtual EncodedRow encode(const Row& row, std::string_view name) const = 0;
};

/// What is asked of an encoder beside documents.
struct EncodeContent {
  bool hash = false;  ///< set EncodedRow::content
  SplitSide side;     ///< rows on the other side are hashed, not tokenised
};

/// `tokenizer` must outlive the encoder. A config Error when plain text needs an end token that the
/// tokenizer lacks.
[[nodiscard]] std::unique_ptr<RowEncoder> make_row_encoder(const TokenizeSource& source,
                                                           const Tokenizer& tokenizer,
                                                           const TokenizeOptions& options,
                                                           const EncodeContent& content = {});

/// Results for `rows`, in order, encoded on `threads` threads. Of several bad rows the first is
/// reported, whatever thread met it.
[[nodiscard]] std::vector<EncodedRow> encode_rows(const RowEncoder& encoder,
                                                  std::span<const Row> rows, const fs::path& file,
                                                  int threads);

}  // namespace weft::data
