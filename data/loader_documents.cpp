#include "data/loader_documents.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "data/mixture.h"
#include "data/tokenize_fit.h"

namespace weft::data {

namespace {

/// Weights that cannot be realised are refused: a dataset would silently be left out.
void check_weights(const std::vector<std::shared_ptr<const ShardSet>>& sets,
                   std::span<const std::int64_t> first, std::span<const double> weights) {
  if (weights.size() != sets.size()) {
    fail_config("{} weights for {} datasets: give each its weight, or none", weights.size(),
                sets.size());
  }
  const std::vector<std::int64_t> counts = mixture_counts(first.back(), weights);
  for (std::size_t s = 0; s < sets.size(); ++s) {
    const std::string name = sets[s]->folder().string();
    if (first[s] == first[s + 1]) {
      fail_data("{}: has a weight, but no document to give", name);
    }
    if (counts[s] == 0) {
      fail_config("{}: weight {} gives it no document of an epoch of {}; raise it or leave it out",
                  name, weights[s], first.back());
    }
  }
}

}  // namespace

LoaderDocuments::LoaderDocuments(std::vector<std::shared_ptr<const ShardSet>> sets,
                                 const LoaderOptions& options)
    : sets_(std::move(sets)) {
  for (const auto& set : sets_) {
    add_set(*set, options);
    first_.push_back(std::ssize(lengths_));
  }
  report_overlong(options);
  if (count() == 0) {
    fail_data(
        "the datasets hold no document{}",
        overlong_ > 0 ? fmt::format(" of at most max_length {} tokens", options.max_length) : "");
  }
  if (!options.weights.empty()) {
    check_weights(sets_, first_, options.weights);
  }
  tokens_ = std::accumulate(lengths_.begin(), lengths_.end(), std::int64_t{0});
}

void LoaderDocuments::add_set(const ShardSet& set, const LoaderOptions& options) {
  for (std::int64_t i = 0; i < set.documents(); ++i) {
    const std::int64_t length = set.length(i);
    if (length > options.max_length) {
      add_overlong(i, length, options);
    } else {
      add_piece(i, 0, length);
    }
  }
}

void LoaderDocuments::add_overlong(std::int64_t document, std::int64_t length,
                                   const LoaderOptions& options) {
  ++overlong_;
  if (options.overlong == Overlong::kError) {
    fail_data(
        "{}: document {} has {} tokens, max_length is {}; raise max_length or set overlong to "
        "truncate, split or drop",
        sets_[first_.size() - 1]->folder().string(), document, length, options.max_length);
  }
  if (options.overlong == Overlong::kTruncate) {
    const std::int64_t begin =
        truncation_begin(sets_[first_.size() - 1]->document(document).mask, options.max_length);
    if (begin > 0) {
      renumber();
    }
    add_piece(document, begin, std::min(options.max_length, length - begin));
    return;
  }
  renumber();
  if (options.overlong == Overlong::kSplit) {
    for (std::int64_t begin = 0; begin < length; begin += options.max_length) {
      add_piece(document, begin, std::min(options.max_length, length - begin));
    }
  }
}

/// From here on a document is not at its own number in its set.
void LoaderDocuments::renumber() {
  if (std::exchange(renumbered_, true)) {
    return;
  }
  std::vector<std::int64_t> ends = first_;
  ends.push_back(std::ssize(lengths_));
  for (std::size_t s = 0; s + 1 < ends.size(); ++s) {
    for (std::int64_t i = 0; i < ends[s + 1] - ends[s]; ++i) {
      pieces_.push_back({.document = i});
    }
  }
}

void LoaderDocuments::add_piece(std::int64_t document, std::int64_t begin, std::int64_t length) {
  lengths_.push_back(static_cast<std::int32_t>(length));
  if (renumbered_) {
    pieces_.push_back({.document = document, .begin = begin});
  }
}

void LoaderDocuments::report_overlong(const LoaderOptions& options) const {
  if (overlong_ == 0) {
    return;
  }
  const std::string_view done = options.overlong == Overlong::kTruncate ? "cut to it"
                                : options.overlong == Overlong::kSplit  ? "split at it"
                                                                        : "left out";
  std::int64_t all = 0;
  for (const auto& set : sets_) {
    all += set->documents();
  }
  log_warning("{} of {} documents are longer than max_length {} and are {}", overlong_, all,
              options.max_length, done);
}

void LoaderDocuments::lay_out(std::span<const std::int64_t> documents, MicroBatch& batch,
                              std::vector<std::vector<DocumentRead>>& reads) const {
  batch.cu_seqlens.reserve(documents.size() + 1);
  batch.cu_seqlens.push_back(0);
  for (const std::int64_t document : documents) {
    const std::int32_t length = lengths_[static_cast<std::size_t>(document)];
    batch.cu_seqlens.push_back(batch.cu_seqlens.back() + length);
    batch.max_seqlen = std::max(batch.max_seqlen, length);
  }
  const auto tokens = static_cast<std::size_t>(batch.cu_seqlens.back());
  batch.tokens.resize(tokens);
  batch.mask.resize(tokens);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const auto after = std::upper_bound(first_.begin(), first_.end(), documents[i]);
    const auto set = static_cast<std::size_t>(after - first_.begin() - 1);
    const auto index = static_cast<std::size_t>(documents[i]);
    const Piece piece =
        renumbered_ ? pieces_[index] : Piece{.document = documents[i] - first_[set]};
    reads[set].push_back({.document = piece.document,
                          .begin = piece.begin,
                          .count = lengths_[index],
                          .ids = batch.tokens.data() + batch.cu_seqlens[i],
                          .mask = batch.mask.data() + batch.cu_seqlens[i]});
  }
}

std::vector<MicroBatch> LoaderDocuments::read(
    const std::vector<std::span<const std::int64_t>>& batches) const {
  std::vector<MicroBatch> made(batches.size());
  std::vector<std::vector<DocumentRead>> reads(sets_.size());
  for (std::size_t b = 0; b < batches.size(); ++b) {
    lay_out(batches[b], made[b], reads);
  }
  for (std::size_t s = 0; s < sets_.size(); ++s) {
    sets_[s]->read(std::move(reads[s]));
  }
  for (MicroBatch& batch : made) {
    for (std::size_t d = 0; d + 1 < batch.cu_seqlens.size(); ++d) {
      batch.mask[static_cast<std::size_t>(batch.cu_seqlens[d])] = 0;  // of a piece: nothing before
    }
    batch.trained_tokens = std::accumulate(batch.mask.begin(), batch.mask.end(), std::int64_t{0});
  }
  return made;
}

bool LoaderDocuments::compressed() const {
  return std::any_of(sets_.begin(), sets_.end(), [](const auto& set) { return set->compressed(); });
}

}  // namespace weft::data
