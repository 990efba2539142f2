#include "data/shard_reader.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>

#include "base/error.h"
#include "base/text.h"
#include "data/hdf5_io.h"
#include "data/hdf5_values.h"

namespace weft::data {

namespace {

constexpr std::int64_t kVerifySlice = std::int64_t{1} << 20;

void check_size(const Hdf5Vector& vector, std::int64_t expected, const fs::path& path) {
  if (vector.size != expected) {
    fail_data("{}: dataset '{}' has {} values, expected {}", path.string(), vector.name,
              vector.size, expected);
  }
}

// Loops without a way out in the middle, which the compiler turns into vector instructions.
bool ids_outside(std::span<const std::int32_t> ids, std::int64_t vocab_size) {
  const std::int32_t* const id = ids.data();
  const auto limit = static_cast<std::uint32_t>(vocab_size);
  unsigned bad = 0;
#pragma omp simd reduction(| : bad)
  for (std::size_t i = 0; i < ids.size(); ++i) {
    bad |= static_cast<std::uint32_t>(id[i]) >= limit ? 1U : 0U;
  }
  return bad != 0;
}

bool mask_outside(std::span<const std::uint8_t> mask) {
  const std::uint8_t* const bit = mask.data();
  unsigned char all = 0;
#pragma omp simd reduction(| : all)
  for (std::size_t i = 0; i < mask.size(); ++i) {
    all = static_cast<unsigned char>(all | bit[i]);
  }
  return all > 1;
}

}  // namespace

struct ShardReader::File {
  Hdf5Handle file;
  Hdf5Values<std::int32_t> tokens;
  Hdf5Values<std::uint8_t> mask;
};

ShardReader::ShardReader(const fs::path& path) : path_(path), file_(std::make_unique<File>()) {
  const Hdf5Lock lock;
  file_->file = open_hdf5_file(path);
  read_attributes();
  file_->tokens = Hdf5Values<std::int32_t>(file_->file, "tokens", path);
  file_->mask = Hdf5Values<std::uint8_t>(file_->file, "mask", path);
  check_size(file_->tokens.vector(), counts_.tokens, path);
  check_size(file_->mask.vector(), counts_.tokens, path);
  read_offsets();
  read_preferences();
}

ShardReader::~ShardReader() = default;
ShardReader::ShardReader(ShardReader&&) noexcept = default;

void ShardReader::read_attributes() {
  const Hdf5Handle& file = file_->file;
  const std::string format = read_string_attribute(file, "format", path_);
  const std::int64_t version = read_int_attribute(file, "version", path_);
  if (format != kShardFormat || version != kShardVersion) {
    fail_data("{}: format '{}' version {}, expected '{}' version {}", path_.string(),
              printable(format), version, kShardFormat, kShardVersion);
  }
  if (!has_attribute(file, "complete") || read_int_attribute(file, "complete", path_) != 1) {
    fail_data("{}: has no completion mark: its writer was stopped; tokenise again", path_.string());
  }
  identity_ = {.tokenizer_sha256 = read_string_attribute(file, "tokenizer_sha256", path_),
               .vocab_size = read_int_attribute(file, "vocab_size", path_),
               .fingerprint = read_string_attribute(file, "fingerprint", path_)};
  counts_ = {.documents = read_int_attribute(file, "documents", path_),
             .tokens = read_int_attribute(file, "tokens", path_),
             .trained_tokens = read_int_attribute(file, "trained_tokens", path_)};
  if (counts_.tokens < 1 || counts_.tokens > kMaxShardTokens || counts_.documents < 1 ||
      counts_.documents > counts_.tokens || counts_.trained_tokens < 0 ||
      counts_.trained_tokens > counts_.tokens) {
    fail_data("{}: {} documents, {} tokens, {} trained tokens: impossible for a shard",
              path_.string(), counts_.documents, counts_.tokens, counts_.trained_tokens);
  }
  if (identity_.vocab_size < 1 || identity_.vocab_size > std::numeric_limits<std::int32_t>::max()) {
    fail_data("{}: vocab_size {} is impossible", path_.string(), identity_.vocab_size);
  }
}

void ShardReader::read_offsets() {
  const Hdf5Vector offsets = open_hdf5_vector<std::int64_t>(file_->file, "doc_offsets", path_);
  const Hdf5Vector source = open_hdf5_vector<std::uint16_t>(file_->file, "source", path_);
  check_size(offsets, counts_.documents + 1, path_);
  check_size(source, counts_.documents, path_);
  offsets_.resize(static_cast<std::size_t>(offsets.size));
  source_.resize(static_cast<std::size_t>(source.size));
  read_hdf5_slice<std::int64_t>(offsets, 0, offsets_, path_);
  read_hdf5_slice<std::uint16_t>(source, 0, source_, path_);
  const auto bad =
      std::adjacent_find(offsets_.begin(), offsets_.end(), [](auto a, auto b) { return a >= b; });
  if (bad != offsets_.end()) {
    fail_data("{}: doc_offsets must increase, but document {} goes from {} to {}", path_.string(),
              bad - offsets_.begin(), *bad, *(bad + 1));
  }
  if (offsets_.front() != 0 || offsets_.back() != counts_.tokens) {
    fail_data("{}: doc_offsets go from {} to {}, expected 0 to {}", path_.string(),
              offsets_.front(), offsets_.back(), counts_.tokens);
  }
}

/// The datasets that only some shards have.
void ShardReader::read_preferences() {
  const auto read = [&]<typename T>(const char* name, std::vector<T>& values) {
    if (!has_hdf5_object(file_->file, name)) {
      return;
    }
    const Hdf5Vector vector = open_hdf5_vector<T>(file_->file, name, path_);
    check_size(vector, counts_.documents, path_);
    values.resize(static_cast<std::size_t>(vector.size));
    read_hdf5_slice<T>(vector, 0, values, path_);
  };
  read("pair", pair_);
  read("label", label_);
  for (std::int64_t i = 0; i < std::ssize(pair_); ++i) {
    const std::int64_t chosen = pair(i);
    const bool first = chosen == i && i + 1 < counts_.documents && pair(i + 1) == i;
    const bool second = chosen == i - 1 && i > 0 && pair(i - 1) == i - 1;
    if (chosen != -1 && !first && !second) {
      fail_data(
          "{}: pair of document {} is {}; expected -1, or two neighbours with the number of "
          "the first",
          path_.string(), i, chosen);
    }
  }
  const auto bad = std::find_if(label_.begin(), label_.end(),
                                [](std::int8_t label) { return label < -1 || label > 1; });
  if (bad != label_.end()) {
    fail_data("{}: label of document {} is {}, expected 1, 0 or -1", path_.string(),
              bad - label_.begin(), *bad);
  }
}

void ShardReader::check_values(std::int64_t offset, std::span<const std::int32_t> ids,
                               std::span<const std::uint8_t> mask) const {
  if (!ids_outside(ids, identity_.vocab_size) && !mask_outside(mask)) {
    return;
  }
  const auto outside = std::find_if(ids.begin(), ids.end(), [&](std::int32_t id) {
    return id < 0 || id >= identity_.vocab_size;
  });
  if (outside != ids.end()) {
    fail_data("{}: token {} has id {}, outside the vocabulary of {}", path_.string(),
              offset + (outside - ids.begin()), *outside, identity_.vocab_size);
  }
  const auto odd = std::find_if(mask.begin(), mask.end(), [](auto bit) { return bit > 1; });
  fail_data("{}: token {} has mask {}, expected 0 or 1", path_.string(),
            offset + (odd - mask.begin()), *odd);
}

void ShardReader::check_first(std::int64_t document, std::int64_t begin, std::uint8_t mask) const {
  if (begin == 0 && mask != 0) {
    fail_data("{}: document {} marks its first token as a target; nothing is before it",
              path_.string(), document);
  }
}

void ShardReader::read_range(std::int64_t offset, std::span<std::int32_t> ids,
                             std::span<std::uint8_t> mask) const {
  file_->tokens.read(offset, ids, path_);
  file_->mask.read(offset, mask, path_);
  check_values(offset, ids, mask);
}

bool ShardReader::compressed() const {
  return file_->tokens.vector().filtered || file_->mask.vector().filtered;
}

void ShardReader::read(std::span<const DocumentRead> reads) const {
  AscendingReader tokens(file_->tokens, path_);
  AscendingReader masks(file_->mask, path_);
  for (const DocumentRead& read : reads) {
    const std::int64_t offset = offsets_.at(static_cast<std::size_t>(read.document)) + read.begin;
    if (read.begin < 0 || read.count < 1 ||
        offset + read.count > offsets_.at(static_cast<std::size_t>(read.document) + 1)) {
      fail_internal("{}: tokens {} to {} of document {}", path_.string(), read.begin,
                    read.begin + read.count, read.document);
    }
    const std::span ids(read.ids, static_cast<std::size_t>(read.count));
    const std::span mask(read.mask, ids.size());
    tokens.read(offset, ids);
    masks.read(offset, mask);
    check_values(offset, ids, mask);
    check_first(read.document, read.begin, mask[0]);
  }
}

void ShardReader::read(std::int64_t document, std::int64_t limit, std::vector<std::int32_t>& ids,
                       std::vector<std::uint8_t>& mask, std::int64_t begin) const {
  const auto index = static_cast<std::size_t>(document);
  const std::int64_t start = offsets_.at(index) + begin;
  const auto count = static_cast<std::size_t>(std::min(limit, offsets_.at(index + 1) - start));
  const std::size_t old = ids.size();
  ids.resize(old + count);
  mask.resize(old + count);
  read_range(start, std::span(ids).subspan(old), std::span(mask).subspan(old));
  check_first(document, begin, mask[old]);
}

template <typename Body>
void ShardReader::for_each_slice(Body&& body) const {
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> mask;
  for (std::int64_t offset = 0; offset < counts_.tokens; offset += kVerifySlice) {
    const auto count = static_cast<std::size_t>(std::min(kVerifySlice, counts_.tokens - offset));
    ids.resize(count);
    mask.resize(count);
    read_range(offset, ids, mask);
    body(offset, mask);
  }
}

std::vector<std::int64_t> ShardReader::trained_per_document() const {
  std::vector<std::int64_t> trained(static_cast<std::size_t>(counts_.documents));
  std::size_t document = 0;
  for_each_slice([&](std::int64_t offset, const std::vector<std::uint8_t>& mask) {
    for (std::size_t i = 0; i < mask.size(); ++i) {
      while (offset + static_cast<std::int64_t>(i) >= offsets_[document + 1]) {
        ++document;
      }
      trained[document] += mask[i] != 0 ? 1 : 0;
    }
  });
  return trained;
}

void ShardReader::verify() const {
  std::int64_t trained = 0;
  for_each_slice([&](std::int64_t offset, const std::vector<std::uint8_t>& mask) {
    trained = std::accumulate(mask.begin(), mask.end(), trained);
    const auto end = offset + static_cast<std::int64_t>(mask.size());
    for (auto it = std::lower_bound(offsets_.begin(), offsets_.end() - 1, offset);
         it != offsets_.end() - 1 && *it < end; ++it) {
      if (mask[static_cast<std::size_t>(*it - offset)] != 0) {
        fail_data("{}: document {} marks its first token as a target; nothing is before it",
                  path_.string(), it - offsets_.begin());
      }
    }
  });
  if (trained != counts_.trained_tokens) {
    fail_data("{}: says {} trained tokens, its mask has {}", path_.string(), counts_.trained_tokens,
              trained);
  }
}

}  // namespace weft::data
