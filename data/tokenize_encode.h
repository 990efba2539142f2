#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "data/document.h"
#include "data/reader.h"
#include "data/tokenize_sources.h"

namespace weft::data {

/// Turns rows of one format into documents. Safe for use from several threads.
class RowEncoder {
 public:
  virtual ~RowEncoder() = default;
  /// The row's documents: mostly one; none when the row holds no text; several where a
  /// conversation is split. `name` is FILE:LINE; data Errors begin with it.
  [[nodiscard]] virtual std::vector<Document> encode(const Row& row,
                                                     std::string_view name) const = 0;
};

/// `tokenizer` must outlive the encoder. A config Error when plain text needs an end token that the
/// tokenizer lacks.
[[nodiscard]] std::unique_ptr<RowEncoder> make_row_encoder(const TokenizeSource& source,
                                                           const Tokenizer& tokenizer,
                                                           const TokenizeOptions& options);

/// The documents of each of `rows`, in order, encoded on `threads` threads. Of several bad rows the
/// first is reported, whatever thread met it.
[[nodiscard]] std::vector<std::vector<Document>> encode_rows(const RowEncoder& encoder,
                                                             std::span<const Row> rows,
                                                             const fs::path& file, int threads);

}  // namespace weft::data
