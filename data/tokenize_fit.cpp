#include "data/tokenize_fit.h"

#include <fmt/format.h>

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
    piece.label = document.label;
    piece.ids.assign(document.ids.begin() + begin, document.ids.begin() + end);
    piece.mask.assign(document.mask.begin() + begin, document.mask.begin() + end);
    piece.mask[0] = 0;
  }
  return pieces;
}

Document truncate_document(const Document& document, std::int64_t max_length) {
  const std::int64_t begin = truncation_begin(document.mask, max_length);
  const std::int64_t end = std::min(begin + max_length, document.size());
  Document cut;
  cut.source = document.source;
  cut.label = document.label;
  cut.ids.assign(document.ids.begin() + begin, document.ids.begin() + end);
  cut.mask.assign(document.mask.begin() + begin, document.mask.begin() + end);
  return cut;
}

/// The first row that is dropped is remembered, so that a person can look at it.
void note_drop(SourceCounts& counts, std::string_view name, std::string_view why) {
  if (counts.first_dropped.empty()) {
    counts.first_dropped = fmt::format("{}: {}", name, why);
  }
}

std::vector<Document> cut_document(const Document& document, std::int64_t max_length,
                                   Overlong overlong, std::string_view name, SourceCounts& counts) {
  switch (overlong) {
    case Overlong::kError:
      fail_data(
          "{}: has {} tokens, max_length is {}; raise max_length or set overlong to "
          "truncate, split or drop",
          name, document.size(), max_length);
    case Overlong::kDrop:
      ++counts.overlong_dropped;
      counts.tokens_lost += document.size();
      note_drop(counts, name, fmt::format("{} tokens, over max_length", document.size()));
      return {};
    case Overlong::kSplit:
      ++counts.split;
      return split_document(document, max_length);
    case Overlong::kTruncate:
      ++counts.truncated;
      counts.tokens_lost += document.size() - max_length;
      return {truncate_document(document, max_length)};
  }
  fail_internal("overlong {}", static_cast<int>(overlong));
}

}  // namespace

std::int64_t truncation_begin(std::span<const std::uint8_t> mask, std::int64_t max_length) {
  const auto first = std::find(mask.begin(), mask.end(), 1);
  if (first == mask.end()) {
    return 0;
  }
  const auto last = std::find(mask.rbegin(), mask.rend(), 1);
  const std::int64_t first_target = first - mask.begin();
  const std::int64_t after_targets = mask.rend() - last;
  if (after_targets - first_target < max_length) {  // with one token before the first
    return std::max<std::int64_t>(0, after_targets - max_length);
  }
  return std::max<std::int64_t>(0, first_target - max_length / 2);
}

std::vector<Document> fit_document(Document document, const TokenizeOptions& options,
                                   std::string_view name, SourceCounts& counts) {
  if (document.ids.empty()) {
    ++counts.empty;
    note_drop(counts, name, "it is empty");
    return {};
  }
  if (document.trained_tokens() == 0) {
    ++counts.no_target;
    counts.tokens_lost += document.size();
    note_drop(counts, name, "no token of it is a target");
    return {};
  }
  std::vector<Document> kept;
  if (options.max_length && document.size() > *options.max_length) {
    kept = cut_document(document, *options.max_length, options.overlong, name, counts);
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
    ++counts.no_target;  // a piece of a split document
    counts.tokens_lost += piece.size();
    return true;
  });
  return kept;
}

}  // namespace weft::data
