#include "trainer/micro_batches.h"

#include <algorithm>
#include <numeric>

namespace weft::trainer {
namespace {

std::int64_t documents_of(const data::MicroBatch& batch) {
  return static_cast<std::int64_t>(batch.cu_seqlens.size()) - 1;
}

std::int32_t bound(const data::MicroBatch& batch, std::int64_t document) {
  return batch.cu_seqlens[static_cast<std::size_t>(document)];
}

std::int32_t length(const data::MicroBatch& batch, std::int64_t document) {
  return bound(batch, document + 1) - bound(batch, document);
}

void append_document(const data::MicroBatch& from, std::int64_t document, data::MicroBatch& to) {
  const auto begin = bound(from, document);
  const auto end = bound(from, document + 1);
  to.tokens.insert(to.tokens.end(), from.tokens.begin() + begin, from.tokens.begin() + end);
  to.mask.insert(to.mask.end(), from.mask.begin() + begin, from.mask.begin() + end);
  to.cu_seqlens.push_back(static_cast<std::int32_t>(to.tokens.size()));
  to.max_seqlen = std::max(to.max_seqlen, end - begin);
  to.trained_tokens +=
      std::accumulate(from.mask.begin() + begin, from.mask.begin() + end, std::int64_t{0});
}

data::MicroBatch empty_batch() {
  data::MicroBatch batch;
  batch.cu_seqlens.push_back(0);
  return batch;
}

}  // namespace

std::vector<data::MicroBatch> split_micro_batch(const data::MicroBatch& batch,
                                                std::int64_t tokens) {
  std::vector<data::MicroBatch> pieces;
  for (std::int64_t document = 0; document < documents_of(batch); ++document) {
    const bool fits =
        !pieces.empty() &&
        static_cast<std::int64_t>(pieces.back().tokens.size()) + length(batch, document) <= tokens;
    if (!fits) {
      pieces.push_back(empty_batch());
    }
    append_document(batch, document, pieces.back());
  }
  return pieces;
}

data::MicroBatch sorted_by_length(const data::MicroBatch& batch) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(documents_of(batch)));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return length(batch, a) < length(batch, b);
  });
  data::MicroBatch sorted = empty_batch();
  for (const std::int64_t document : order) {
    append_document(batch, document, sorted);
  }
  return sorted;
}

data::MicroBatch filled_up(const data::MicroBatch& batch, std::int64_t tokens,
                           std::int64_t longest) {
  const std::int64_t step = std::max<std::int64_t>(tokens / 32, 64);
  auto size = static_cast<std::int64_t>(batch.tokens.size());
  const std::int64_t target = std::min((size + step - 1) / step * step, tokens);
  data::MicroBatch filled = batch;
  while (size < target) {
    const std::int64_t length = std::min(target - size, longest);
    size += length;
    filled.tokens.resize(static_cast<std::size_t>(size), 0);
    filled.mask.resize(static_cast<std::size_t>(size), 0);
    filled.cu_seqlens.push_back(static_cast<std::int32_t>(size));
    filled.max_seqlen = std::max(filled.max_seqlen, static_cast<std::int32_t>(length));
  }
  return filled;
}

}  // namespace weft::trainer
