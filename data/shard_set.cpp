#include "data/shard_set.h"

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"

namespace weft::data {

namespace {

void check_file(FileSystem& files, const fs::path& path, const ShardEntry& entry, bool verify) {
  const auto size = files.open(path, /*follow_links=*/false)->size();
  if (size != static_cast<std::uint64_t>(entry.bytes)) {
    fail_data("{}: is {} bytes, {} says {}: cut short or replaced; tokenise again", path.string(),
              size, kManifestName, entry.bytes);
  }
  if (verify && sha256_file(files, path) != entry.sha256) {
    fail_data(
        "{}: its SHA-256 is not the one in {}: the file was changed or damaged; tokenise again",
        path.string(), kManifestName);
  }
}

void check_shard(const ShardReader& shard, const fs::path& path, const ShardEntry& entry,
                 const ShardIdentity& identity) {
  if (shard.counts() != entry.counts) {
    fail_data("{}: has {} documents with {} tokens ({} trained), {} says {}, {} ({})",
              path.string(), shard.counts().documents, shard.counts().tokens,
              shard.counts().trained_tokens, kManifestName, entry.counts.documents,
              entry.counts.tokens, entry.counts.trained_tokens);
  }
  if (shard.identity() != identity) {
    fail_data("{}: was made with another tokenizer or from other inputs than {} says",
              path.string(), kManifestName);
  }
}

}  // namespace

ShardSet::ShardSet(FileSystem& files, const fs::path& folder, const ShardSetOptions& options)
    : folder_(folder), manifest_(read_manifest(files, folder)) {
  check_tokenizer(options);
  for (const ShardEntry& entry : manifest_.shards) {
    const fs::path path = folder / entry.file;
    check_file(files, path, entry, options.verify);
    ShardReader& shard = shards_.emplace_back(path);
    check_shard(shard, path, entry, manifest_.identity);
    if (options.verify) {
      shard.verify();
    }
    first_.push_back(first_.back() + entry.counts.documents);
  }
}

void ShardSet::check_tokenizer(const ShardSetOptions& options) const {
  const std::string& made_with = manifest_.identity.tokenizer_sha256;
  if (!options.tokenizer_sha256.empty() && options.tokenizer_sha256 != made_with) {
    fail_data(
        "{}: its shards were made with the tokenizer {}…, the model's is {}…: tokenise again "
        "with the model's tokenizer",
        folder_.string(), made_with.substr(0, 12), options.tokenizer_sha256.substr(0, 12));
  }
}

ShardSet ShardSet::of_file(FileSystem& files, const fs::path& path,
                           const ShardSetOptions& options) {
  ShardSet set;
  set.folder_ = path.parent_path();
  const ShardReader& shard = set.shards_.emplace_back(path);
  set.manifest_.identity = shard.identity();
  set.check_tokenizer(options);
  ShardEntry entry{.file = path.filename().string(),
                   .bytes = static_cast<std::int64_t>(files.open(path)->size()),
                   .counts = shard.counts(),
                   .sha256 = {}};
  if (is_shard_folder(files, set.folder_)) {
    const Manifest manifest = read_manifest(files, set.folder_);
    set.manifest_.sources = manifest.sources;
    for (const ShardEntry& listed : manifest.shards) {
      if (listed.file == entry.file) {
        check_file(files, path, listed, options.verify);
        check_shard(shard, path, listed, manifest.identity);
        entry = listed;
      }
    }
  }
  if (options.verify) {
    shard.verify();
  }
  set.manifest_.shards.push_back(std::move(entry));
  set.first_.push_back(shard.counts().documents);
  return set;
}

ShardSet::Place ShardSet::find(std::int64_t document) const {
  if (document < 0 || document >= documents()) {
    fail_internal("{}: document {} of {}", folder_.string(), document, documents());
  }
  const auto after = std::upper_bound(first_.begin(), first_.end(), document);
  const auto shard = static_cast<std::size_t>(after - first_.begin() - 1);
  return {&shards_[shard], document - first_[shard]};
}

Document ShardSet::document(std::int64_t number) const {
  Document document;
  document.source = source(number);
  document.label = label(number);
  read(number, length(number), document.ids, document.mask);
  return document;
}

std::int64_t ShardSet::length(std::int64_t document) const {
  const Place place = find(document);
  const auto index = static_cast<std::size_t>(place.document);
  return place.shard->offsets()[index + 1] - place.shard->offsets()[index];
}

std::uint16_t ShardSet::source(std::int64_t document) const {
  const Place place = find(document);
  return place.shard->source(place.document);
}

bool ShardSet::has_pairs() const {
  return std::any_of(shards_.begin(), shards_.end(),
                     [](const ShardReader& shard) { return shard.has_pairs(); });
}

bool ShardSet::has_labels() const {
  return std::any_of(shards_.begin(), shards_.end(),
                     [](const ShardReader& shard) { return shard.has_labels(); });
}

std::int64_t ShardSet::rejected(std::int64_t document) const {
  const Place place = find(document);
  return place.shard->pair(place.document) == place.document ? document + 1 : -1;
}

std::int64_t ShardSet::chosen(std::int64_t document) const {
  const Place place = find(document);
  const std::int64_t pair = place.shard->pair(place.document);
  return pair < 0 ? -1 : document - place.document + pair;
}

std::int8_t ShardSet::label(std::int64_t document) const {
  const Place place = find(document);
  return place.shard->label(place.document);
}

void ShardSet::read(std::int64_t document, std::int64_t limit, std::vector<std::int32_t>& ids,
                    std::vector<std::uint8_t>& mask, std::int64_t begin) const {
  const Place place = find(document);
  place.shard->read(place.document, limit, ids, mask, begin);
}

void ShardSet::read(std::vector<DocumentRead> reads) const {
  std::sort(reads.begin(), reads.end(), [](const DocumentRead& a, const DocumentRead& b) {
    return std::tie(a.document, a.begin) < std::tie(b.document, b.begin);
  });
  for (std::size_t begin = 0; begin < reads.size();) {
    const ShardReader* const shard = find(reads[begin].document).shard;
    const std::int64_t first = first_[static_cast<std::size_t>(shard - shards_.data())];
    const std::int64_t after = first + shard->counts().documents;
    std::size_t end = begin;
    for (; end < reads.size() && reads[end].document < after; ++end) {
      reads[end].document -= first;
    }
    shard->read(std::span(reads).subspan(begin, end - begin));
    begin = end;
  }
}

bool ShardSet::compressed() const {
  return std::any_of(shards_.begin(), shards_.end(),
                     [](const ShardReader& shard) { return shard.compressed(); });
}

}  // namespace weft::data
