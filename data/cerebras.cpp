#include "data/cerebras.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "data/hdf5_io.h"

namespace weft::data {

namespace {

constexpr const char* kDataset = "data";
/// Values read at once where the file does not say.
constexpr std::int64_t kBlockValues = std::int64_t{1} << 18;
/// And at most, where it has large chunks: 64 MiB.
constexpr std::int64_t kMostBlockValues = std::int64_t{8} << 20;

enum Feature : std::int64_t { kIds, kMask, kLabels, kSpan, kPosition };

/// Both sections have had the key, in different releases.
bool has_inverted_mask(FileSystem& files, const fs::path& path) {
  const fs::path parameters = path.parent_path() / kCerebrasParameters;
  if (!files.exists(parameters)) {
    return false;
  }
  const Json json = read_json(files, parameters);
  bool found = false;
  for (const char* const name : {"processing", "dataset"}) {
    const Json* section = json.is_object() ? json_find(json, name) : nullptr;
    const Json* inverted =
        section != nullptr && section->is_object() ? json_find(*section, "inverted_mask") : nullptr;
    found |= inverted != nullptr && inverted->is_boolean() && inverted->get<bool>();
  }
  return found;
}

}  // namespace

CerebrasReader::CerebrasReader(FileSystem& files, const fs::path& path,
                               std::optional<std::int64_t> stream_tokens)
    : path_(path), file_(open_hdf5_file(path)), stream_tokens_(stream_tokens.value_or(0)) {
  if (has_attribute(file_, "tokenizer_sha256")) {
    fail_config("{}: is a token shard of weft; name its folder, which is used as it is",
                path.string());
  }
  if (!has_hdf5_object(file_, kDataset)) {
    fail_data(
        "{}: has no dataset 'data'; expected token samples as Cerebras' Model Zoo writes them",
        path.string());
  }
  table_ = open_hdf5_table(file_, kDataset, path);
  inverted_ = has_inverted_mask(files, path);
  find_form();
}

void CerebrasReader::find_form() {
  const std::vector<std::int64_t>& extent = table_.extent;
  if (extent.size() == 1) {
    form_ = Form::kStream;
    if (stream_tokens_ < 2) {
      fail_config(
          "{}: is a stream of {} tokens without document bounds; set max_length, and it is cut "
          "into "
          "documents of so many tokens",
          path_.string(), extent[0]);
    }
    return;
  }
  if (extent.size() != 3 || (extent[1] != 3 && extent[1] != 5) || extent[2] < 1) {
    fail_data(
        "{}: 'data' has shape [{}]; expected [samples, 3, length] (ids, loss mask, labels), "
        "[samples, "
        "5, length] (and attention span, position), or [tokens]",
        path_.string(), fmt::join(extent, ", "));
  }
  form_ = extent[1] == 3 ? Form::kSamples : Form::kPacked;
  length_ = extent[2];
}

std::int64_t CerebrasReader::longest() const {
  return form_ == Form::kStream ? stream_tokens_ : length_ + 1;
}

double CerebrasReader::fraction_read() const {
  return table_.extent[0] == 0 ? 1.0
                               : static_cast<double>(row_) / static_cast<double>(table_.extent[0]);
}

bool CerebrasReader::next(CerebrasDocument& document) {
  if (form_ == Form::kStream) {
    return next_piece(document);
  }
  while (given_ == documents_.size()) {
    if (row_ == table_.extent[0]) {
      return false;
    }
    read_sample();
  }
  document = std::move(documents_[given_++]);
  return true;
}

bool CerebrasReader::next_piece(CerebrasDocument& document) {
  if (row_ == table_.extent[0]) {
    return false;
  }
  document.ids.clear();
  if (row_ > 0) {
    document.ids.push_back(last_id_);
  }
  for (; row_ < table_.extent[0] && std::ssize(document.ids) < stream_tokens_; ++row_) {
    if (row_ == block_begin_ + block_rows_) {
      read_block();
    }
    last_id_ = id(block_[static_cast<std::size_t>(row_ - block_begin_)], row_);
    document.ids.push_back(last_id_);
  }
  document.trained.assign(document.ids.size(), 1);
  document.trained[0] = 0;
  document.sample = ++pieces_;
  return true;
}

/// Rows of one chunk are decoded once, unless the chunk's rows are too much for memory.
void CerebrasReader::read_block() {
  const std::int64_t most = std::max<std::int64_t>(1, kMostBlockValues / table_.row_values);
  const std::int64_t rows =
      table_.chunk_rows > 0 ? table_.chunk_rows : kBlockValues / table_.row_values;
  block_begin_ = row_;
  block_rows_ = std::min(std::clamp<std::int64_t>(rows, 1, most), table_.extent[0] - row_);
  block_.resize(static_cast<std::size_t>(block_rows_ * table_.row_values));
  read_hdf5_rows(table_, block_begin_, block_rows_, block_, path_);
}

void CerebrasReader::read_sample() {
  if (row_ == block_begin_ + block_rows_) {
    read_block();
  }
  documents_.clear();
  given_ = 0;
  if (form_ == Form::kSamples) {
    read_plain();
  } else {
    read_packed();
  }
  ++row_;
}

std::int64_t CerebrasReader::value(std::int64_t feature, std::int64_t position) const {
  const std::int64_t row = row_ - block_begin_;
  return block_[static_cast<std::size_t>(row * table_.row_values + feature * length_ + position)];
}

std::int32_t CerebrasReader::id(std::int64_t value, std::int64_t position) const {
  if (value < 0 || value > std::numeric_limits<std::int32_t>::max()) {
    fail_data("{}: {}position {} has the id {}, expected 0 to 2^31 - 1", path_.string(),
              form_ == Form::kStream ? "" : fmt::format("sample {}, ", row_ + 1), position, value);
  }
  return static_cast<std::int32_t>(value);
}

bool CerebrasReader::is_trained(std::int64_t position) const {
  const std::int64_t mask = value(kMask, position);
  if (mask != 0 && mask != 1) {
    fail_data(
        "{}: sample {}, position {}: the loss mask is {}, expected 0 or 1 (weft has no loss "
        "weights for tokens)",
        path_.string(), row_ + 1, position, mask);
  }
  return (mask != 0) != inverted_;
}

/// The document that begins at a position and whose inputs end before another. `moved`: its last
/// token is only a label.
void CerebrasReader::add_document(std::int64_t begin, std::int64_t end, bool moved) {
  CerebrasDocument document;
  document.sample = row_ + 1;
  document.ids.push_back(id(value(kIds, begin), begin));
  document.trained.push_back(0);
  for (std::int64_t p = begin; p < end - (moved ? 0 : 1); ++p) {
    const bool trained = is_trained(p);
    const std::int64_t label = value(kLabels, p);
    if (p + 1 < end && trained && label != value(kIds, p + 1)) {
      fail_data(
          "{}: sample {}, position {}: the label is {} and the next id {}; expected labels to "
          "be the ids moved by one",
          path_.string(), row_ + 1, p, label, value(kIds, p + 1));
    }
    if (p + 1 == end && !trained && label < 0) {
      break;  // an ignored label, not a token
    }
    document.ids.push_back(id(p + 1 < end ? value(kIds, p + 1) : label, p));
    document.trained.push_back(trained ? 1 : 0);
  }
  documents_.push_back(std::move(document));
}

void CerebrasReader::read_plain() {
  const std::int64_t pad = value(kIds, length_ - 1);
  std::int64_t end = length_;
  while (end > 0 && value(kIds, end - 1) == pad && value(kLabels, end - 1) == pad &&
         !is_trained(end - 1)) {
    --end;
  }
  if (end > 0) {
    add_document(0, end, true);
  }
}

/// Positions from `begin` on that are one document: positions go up from 0, spans down to 0.
std::int64_t CerebrasReader::run_length(std::int64_t begin) const {
  const std::int64_t span = value(kSpan, begin);
  bool fits = span >= 0 && span < length_ - begin;
  for (std::int64_t k = 0; fits && k <= span; ++k) {
    fits = value(kPosition, begin + k) == k && value(kSpan, begin + k) == span - k;
  }
  if (!fits) {
    fail_data(
        "{}: sample {}, position {}: features 4 and 5 are no attention span and position of a "
        "document (a file of images and text?)",
        path_.string(), row_ + 1, begin);
  }
  return span + 1;
}

/// Of a run of one position: whether it fills the sample up. A document of two tokens of which none
/// is a target looks alike but for its ids.
bool CerebrasReader::is_padding(std::int64_t position) const {
  const std::int64_t pad = value(kIds, length_ - 1);
  const std::int64_t label = value(kLabels, position);
  return value(kIds, position) == pad && (label == pad || label < 0) && !is_trained(position);
}

void CerebrasReader::read_packed() {
  struct Run {
    std::int64_t begin, end;
  };
  std::vector<Run> runs;
  std::size_t used = 0;  // runs after these are padding
  for (std::int64_t p = 0; p < length_;) {
    const std::int64_t count = run_length(p);
    runs.push_back({p, p + count});
    if (count > 1 || !is_padding(p)) {
      used = runs.size();
    }
    p += count;
  }
  for (std::size_t i = 0; i < used; ++i) {
    add_document(runs[i].begin, runs[i].end, i + 1 == used);
  }
}

}  // namespace weft::data
