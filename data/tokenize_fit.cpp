#include "data/tokenize_fit.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace weft::data {

namespace {

std::vector<Document> split_document(const Document& document, std::int64_t max_length) {
  std::vector<Document> pieces;
  for (std::int64_t begin = 0; begin < document.size(); begin += max_length) {
    const std::int64_t end = std::min(begin + max_length, document.size());
    Document& piece = pieces.emplace_back();
    piece.source = document.source;
    piece.ids.assign(document.ids.begin() + begin, document.ids.begin() + end);
    piece.mask.assign(document.mask.begin() + begin, document.mask.begin() + end);
    piece.mask[0] = 0;
  }
  return pieces;
}

std::vector<Document> cut_document(Document document, std::int64_t max_length, Overlong overlong,
                                   std::string_view name, SourceCounts& counts) {
  switch (overlong) {
    case Overlong::kError:
      fail_data(
          "{}: has {} tokens, max_length is {}; raise max_length or set overlong to "
          "truncate, split or drop",
          name, document.size(), max_length);
    case Overlong::kDrop:
      ++counts.overlong_dropped;
      counts.tokens_lost += document.size();
      return {};
    case Overlong::kSplit:
      ++counts.split;
      return split_document(document, max_length);
    case Overlong::kTruncate:
      ++counts.truncated;
      counts.tokens_lost += document.size() - max_length;
      document.ids.resize(static_cast<std::size_t>(max_length));
      document.mask.resize(static_cast<std::size_t>(max_length));
      break;
  }
  std::vector<Document> kept;
  kept.push_back(std::move(document));
  return kept;
}

}  // namespace

std::vector<Document> fit_document(Document document, const TokenizeOptions& options,
                                   std::string_view name, SourceCounts& counts) {
  std::vector<Document> kept;
  if (document.ids.empty()) {
    ++counts.empty;
    return kept;
  }
  if (options.max_length && document.size() > *options.max_length) {
    kept = cut_document(std::move(document), *options.max_length, options.overlong, name, counts);
  } else {
    kept.push_back(std::move(document));
  }
  std::erase_if(kept, [&](const Document& piece) {
    if (piece.trained_tokens() > 0) {
      ++counts.kept.documents;
      counts.kept.tokens += piece.size();
      counts.kept.trained_tokens += piece.trained_tokens();
      return false;
    }
    ++counts.no_target;
    counts.tokens_lost += piece.size();
    return true;
  });
  return kept;
}

}  // namespace weft::data
