#include "data/shard_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"
#include "data/hdf5_io.h"

namespace weft::data {

namespace {

/// Whether a dataset that only some data has is needed.
template <typename T>
bool says_something(const std::vector<T>& values) {
  return std::any_of(values.begin(), values.end(), [](T value) { return value >= 0; });
}

void write_attributes(const Hdf5Handle& file, const fs::path& path, const ShardIdentity& identity,
                      const ShardCounts& counts) {
  write_attribute(file, "format", std::string(kShardFormat), path);
  write_attribute(file, "version", kShardVersion, path);
  write_attribute(file, "tokenizer_sha256", identity.tokenizer_sha256, path);
  write_attribute(file, "vocab_size", identity.vocab_size, path);
  write_attribute(file, "documents", counts.documents, path);
  write_attribute(file, "tokens", counts.tokens, path);
  write_attribute(file, "trained_tokens", counts.trained_tokens, path);
  write_attribute(file, "fingerprint", identity.fingerprint, path);
  write_attribute(file, "complete", 1, path);  // last: a reader refuses a file without it
}

}  // namespace

ShardWriter::ShardWriter(FileSystem& files, fs::path folder, ShardIdentity identity,
                         ShardOptions options, std::vector<ShardEntry> finished)
    : files_(files),
      folder_(std::move(folder)),
      identity_(std::move(identity)),
      options_(options),
      entries_(std::move(finished)) {
  for (const ShardEntry& entry : entries_) {
    documents_ += entry.counts.documents;
  }
  if (options_.shard_tokens < 1 || options_.shard_tokens > kMaxShardTokens) {
    fail_config("shard_tokens is {}, expected 1 to {}", options_.shard_tokens, kMaxShardTokens);
  }
}

void ShardWriter::check(const Document& document) const {
  if (document.ids.empty() || document.ids.size() != document.mask.size()) {
    fail_data("document {}: {} tokens with a mask of {}; expected equal numbers, at least 1",
              documents_, document.ids.size(), document.mask.size());
  }
  if (document.size() > kMaxShardTokens) {
    fail_data("document {}: {} tokens, at most {} fit in a shard", documents_, document.size(),
              kMaxShardTokens);
  }
  const auto outside = std::find_if(document.ids.begin(), document.ids.end(), [&](std::int32_t id) {
    return id < 0 || id >= identity_.vocab_size;
  });
  if (outside != document.ids.end()) {
    fail_data("document {}: token id {} is outside the vocabulary of {}", documents_, *outside,
              identity_.vocab_size);
  }
  if (document.mask[0] != 0 ||
      std::any_of(document.mask.begin(), document.mask.end(), [](auto bit) { return bit > 1; })) {
    fail_data("document {}: a mask must hold 0 and 1 and start with 0", documents_);
  }
}

/// Closes the shard when `tokens` more would be too many for it.
void ShardWriter::make_room(std::int64_t tokens) {
  if (!source_.empty() &&
      static_cast<std::int64_t>(tokens_.size()) + tokens > options_.shard_tokens) {
    write_shard();
  }
}

void ShardWriter::append(const Document& document, std::int64_t pair) {
  tokens_.insert(tokens_.end(), document.ids.begin(), document.ids.end());
  mask_.insert(mask_.end(), document.mask.begin(), document.mask.end());
  offsets_.push_back(static_cast<std::int64_t>(tokens_.size()));
  source_.push_back(document.source);
  pair_.push_back(pair);
  label_.push_back(document.label);
  ++documents_;
}

void ShardWriter::add(const Document& document) {
  check(document);
  make_room(document.size());
  append(document, -1);
}

void ShardWriter::add_pair(const Document& chosen, const Document& rejected) {
  check(chosen);
  check(rejected);
  if (chosen.size() + rejected.size() > kMaxShardTokens) {
    fail_data("document {}: a pair of {} tokens, at most {} fit in a shard", documents_,
              chosen.size() + rejected.size(), kMaxShardTokens);
  }
  make_room(chosen.size() + rejected.size());
  const auto number = static_cast<std::int64_t>(source_.size());
  append(chosen, number);
  append(rejected, number);
}

std::vector<ShardEntry> ShardWriter::finish() {
  if (!source_.empty()) {
    write_shard();
  }
  return std::move(entries_);
}

ShardCounts ShardWriter::write_datasets(const Hdf5Handle& file, const fs::path& path) const {
  const auto write = [&]<typename T>(const char* name, const std::vector<T>& values) {
    write_hdf5_vector(file, name, std::span<const T>(values), options_.compress, path);
  };
  write("tokens", tokens_);
  write("mask", mask_);
  write("doc_offsets", offsets_);
  write("source", source_);
  if (says_something(pair_)) {
    write("pair", pair_);
  }
  if (says_something(label_)) {
    write("label", label_);
  }
  return {.documents = std::ssize(source_),
          .tokens = std::ssize(tokens_),
          .trained_tokens = std::accumulate(mask_.begin(), mask_.end(), std::int64_t{0})};
}

void ShardWriter::write_shard() {
  const std::string name = fmt::format("shard-{:05}.h5", entries_.size());
  const fs::path path = folder_ / name;
  std::vector<std::byte> image;
  ShardEntry entry;
  entry.file = name;
  {
    const Hdf5Handle file = create_hdf5_image(path);
    entry.counts = write_datasets(file, path);
    write_attributes(file, path, identity_, entry.counts);
    image = hdf5_image(file, path);
  }
  tokens_.clear();
  mask_.clear();
  offsets_.assign(1, 0);
  source_.clear();
  pair_.clear();
  label_.clear();
  entry.bytes = static_cast<std::int64_t>(image.size());
  entry.sha256 = sha256_hex({reinterpret_cast<const char*>(image.data()), image.size()});
  write_synced(files_, path, std::span<const std::byte>(image));
  entries_.push_back(std::move(entry));
}

}  // namespace weft::data
