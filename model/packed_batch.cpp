#include "model/packed_batch.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "kernels/host_copies.h"
#include "model/context_layout.h"

namespace weft::model {
namespace {

// The documents that a batch is made of, on the host.
struct Documents {
  std::span<const std::int32_t> tokens;
  std::span<const std::uint8_t> mask;
  std::span<const std::int32_t> bounds;

  [[nodiscard]] std::int64_t count() const { return static_cast<std::int64_t>(bounds.size()) - 1; }
  [[nodiscard]] std::int64_t first(std::int64_t document) const {
    return bounds[static_cast<std::size_t>(document)];
  }
  [[nodiscard]] std::int64_t length(std::int64_t document) const {
    return first(document + 1) - first(document);
  }

  void check(std::int64_t vocab_size) const {
    if (mask.size() != tokens.size() || bounds.empty() || bounds.front() != 0 ||
        static_cast<std::size_t>(bounds.back()) != tokens.size()) {
      fail_internal(
          "a micro-batch of {} tokens has {} mask entries and document bounds that end at {}",
          tokens.size(), mask.size(), bounds.empty() ? -1 : bounds.back());
    }
    for (const std::int32_t id : tokens) {
      if (id < 0 || id >= vocab_size) {
        fail_data(
            "token id {} is outside the model's vocabulary of {}: the data was tokenised for "
            "another model",
            id, vocab_size);
      }
    }
  }
};

// Rows of a batch as they are laid end to end.
class BatchRows {
 public:
  explicit BatchRows(const Documents& documents) : documents_(documents) {}

  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(ids_.size()); }

  void add(const ContextPiece& piece) {
    const std::int64_t length = documents_.length(piece.document);
    longest_ = std::max(longest_, length);
    for (std::int64_t i = piece.begin; i < piece.end; ++i) {
      const auto at = static_cast<std::size_t>(documents_.first(piece.document) + i);
      if (i + 1 < length && documents_.mask[at + 1] != 0) {
        rows_.push_back(size());
        targets_.push_back(documents_.tokens[at + 1]);
      }
      ids_.push_back(documents_.tokens[at]);
      positions_.push_back(static_cast<std::int32_t>(i));
    }
  }

  void add_whole(std::int64_t document) {
    add({document, 0, documents_.length(document)});
    end_document();
  }

  // For a rank that has nothing: a document of one token.
  void add_filler() {
    ids_.push_back(0);
    positions_.push_back(0);
    longest_ = std::max<std::int64_t>(longest_, 1);
    end_document();
  }

  // From here on documents are whole.
  void begin_whole() { whole_ = size(); }

  [[nodiscard]] PackedBatch finish(c10::Device device) const {
    PackedBatch batch;
    batch.tokens = kernels::to_device<std::int64_t>(ids_, at::kLong, device);
    batch.positions = kernels::to_device<std::int32_t>(positions_, at::kInt, device);
    batch.cu_seqlens = bounds_;
    batch.max_length = longest_;
    batch.rows = kernels::to_device<std::int64_t>(rows_, at::kLong, device);
    batch.targets = kernels::to_device<std::int64_t>(targets_, at::kLong, device);
    return batch;
  }

 private:
  void end_document() { bounds_.push_back(static_cast<std::int32_t>(size() - whole_)); }

  Documents documents_;
  std::vector<std::int64_t> ids_;
  std::vector<std::int32_t> positions_;
  std::vector<std::int32_t> bounds_{0};
  std::vector<std::int64_t> rows_;
  std::vector<std::int64_t> targets_;
  std::int64_t whole_ = 0;
  std::int64_t longest_ = 0;
};

// Where the tokens of the split documents begin in their common order, by document.
std::vector<std::int64_t> first_keys(const Documents& documents, const ContextPart& any) {
  std::vector<std::int64_t> first(static_cast<std::size_t>(documents.count()), 0);
  std::int64_t next = 0;
  for (std::size_t i = 0; i < any.split.size(); i += 2) {
    const std::int64_t document = any.split[i].document;
    first[static_cast<std::size_t>(document)] = next;
    next += documents.length(document);
  }
  return first;
}

SplitRows split_rows(const Documents& documents, const std::vector<ContextPart>& parts,
                     std::int64_t rank, c10::Device device) {
  SplitRows split;
  split.rows = parts[static_cast<std::size_t>(rank)].split_rows;
  std::int64_t total = 0;
  for (const ContextPart& part : parts) {
    split.padded = std::max(split.padded, part.split_rows);
    total += part.split_rows;
  }
  const std::vector<std::int64_t> first = first_keys(documents, parts[0]);
  std::vector<std::int64_t> order(static_cast<std::size_t>(total));
  for (std::size_t r = 0; r < parts.size(); ++r) {
    std::int64_t row = 0;
    for (const ContextPiece& piece : parts[r].split) {
      const std::int64_t key = first[static_cast<std::size_t>(piece.document)];
      if (static_cast<std::int64_t>(r) == rank) {
        split.pieces.push_back({row, piece.size(), key, piece.end});
      }
      const auto place = order.begin() + key;
      std::iota(place + piece.begin, place + piece.end,
                static_cast<std::int64_t>(r) * split.padded + row);
      row += piece.size();
    }
  }
  split.order = kernels::to_device<std::int64_t>(order, at::kLong, device);
  return split;
}

// As make_packed_batch tells targets: not the first of a document.
bool has_targets(const Documents& documents) {
  for (std::int64_t d = 0; d < documents.count(); ++d) {
    const auto begin = documents.mask.begin() + documents.first(d);
    if (documents.length(d) > 1 &&
        std::any_of(begin + 1, begin + documents.length(d), [](auto bit) { return bit != 0; })) {
      return true;
    }
  }
  return false;
}

}  // namespace

PackedBatch make_packed_batch(std::span<const std::int32_t> tokens,
                              std::span<const std::uint8_t> mask,
                              std::span<const std::int32_t> cu_seqlens, std::int64_t vocab_size,
                              c10::Device device) {
  const Documents documents{tokens, mask, cu_seqlens};
  documents.check(vocab_size);
  BatchRows rows(documents);
  for (std::int64_t d = 0; d < documents.count(); ++d) {
    rows.add_whole(d);
  }
  return rows.finish(device);
}

PackedBatch make_context_batch(std::span<const std::int32_t> tokens,
                               std::span<const std::uint8_t> mask,
                               std::span<const std::int32_t> cu_seqlens, std::int64_t vocab_size,
                               c10::Device device, std::int64_t rank, std::int64_t ranks) {
  const Documents documents{tokens, mask, cu_seqlens};
  documents.check(vocab_size);
  const std::vector<ContextPart> parts = lay_out_context(cu_seqlens, ranks);
  const ContextPart& part = parts[static_cast<std::size_t>(rank)];
  BatchRows rows(documents);
  for (const ContextPiece& piece : part.split) {
    rows.add(piece);
  }
  rows.begin_whole();
  for (const std::int64_t document : part.whole) {
    rows.add_whole(document);
  }
  if (rows.size() == 0) {
    rows.add_filler();
  }
  PackedBatch batch = rows.finish(device);
  if (part.split_rows > 0) {
    batch.split = split_rows(documents, parts, rank, device);
    batch.split.any_targets = has_targets(documents);
  }
  return batch;
}

}  // namespace weft::model
