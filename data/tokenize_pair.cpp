#include "data/tokenize_pair.h"

#include <utility>

#include "data/tokenize_fit.h"

namespace weft::data {

bool fit_pair(std::vector<Document>& pair, const TokenizeOptions& options, std::string_view name,
              SourceCounts& counts) {
  TokenizeOptions whole = options;
  if (whole.overlong == Overlong::kSplit) {
    whole.overlong = Overlong::kDrop;  // pieces of answers cannot be compared
  }
  SourceCounts fitted;
  std::int64_t tokens = 0;
  std::vector<Document> kept;
  for (Document& document : pair) {
    tokens += document.size();
    for (Document& piece : fit_document(std::move(document), whole, name, fitted)) {
      kept.push_back(std::move(piece));
    }
  }
  if (kept.size() != 2) {
    ++(fitted.overlong_dropped > 0 ? counts.overlong_dropped : counts.no_target);
    counts.tokens_lost += tokens;
    if (counts.first_dropped.empty()) {
      counts.first_dropped = fitted.first_dropped;
    }
    return false;
  }
  counts.truncated += fitted.truncated > 0 ? 1 : 0;
  counts.tokens_lost += fitted.tokens_lost;
  counts.kept.documents += fitted.kept.documents;
  counts.kept.tokens += fitted.kept.tokens;
  counts.kept.trained_tokens += fitted.kept.trained_tokens;
  pair = std::move(kept);
  return true;
}

}  // namespace weft::data
