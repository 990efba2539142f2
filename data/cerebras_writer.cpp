#include "data/cerebras_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "data/cerebras.h"
#include "data/hdf5_io.h"
#include "data/hdf5_table.h"

namespace weft::data {

namespace {

constexpr std::size_t kFileValues = std::size_t{16} << 20;

}  // namespace

CerebrasWriter::CerebrasWriter(FileSystem& files, fs::path folder, CerebrasLayout layout)
    : files_(files), folder_(std::move(folder)), layout_(layout) {}

bool CerebrasWriter::fits(std::int64_t tokens) const {
  // The last token of a sample is only a label. Cerebras' packing counts it all the same.
  return tokens <= layout_.length + (layout_.packed ? 0 : 1);
}

void CerebrasWriter::add(std::span<const Document> documents) {
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> mask;
  std::vector<std::int32_t> span;
  std::vector<std::int32_t> position;
  for (const Document& document : documents) {
    ids.insert(ids.end(), document.ids.begin(), document.ids.end());
    mask.insert(mask.end(), document.mask.begin(), document.mask.end());
    const auto size = static_cast<std::int32_t>(document.size() - (&document == &documents.back()));
    for (std::int32_t i = 0; i < size; ++i) {
      span.push_back(size - 1 - i);
      position.push_back(i);
    }
  }
  if (ids.size() < 2 || !fits(std::ssize(ids)) || (!layout_.packed && documents.size() != 1)) {
    fail_internal("{}: a sample of {} documents and {} tokens", folder_.string(), documents.size(),
                  ids.size());
  }
  const auto put = [&](auto begin, auto end, std::int32_t fill) {
    values_.insert(values_.end(), begin, end);
    values_.resize(values_.size() + static_cast<std::size_t>(layout_.length - (end - begin)), fill);
  };
  put(ids.begin(), ids.end() - 1, layout_.pad_id);
  put(mask.begin() + 1, mask.end(), 0);
  put(ids.begin() + 1, ids.end(), layout_.pad_id);
  if (layout_.packed) {
    put(span.begin(), span.end(), 0);
    put(position.begin(), position.end(), 0);
  }
  ++samples_;
  if (values_.size() + static_cast<std::size_t>(features() * layout_.length) > kFileValues) {
    write_file();
  }
}

void CerebrasWriter::write_file() {
  const fs::path path = folder_ / fmt::format("output_chunk_{:05}.h5", written_files_++);
  std::vector<std::byte> image;
  {
    const Hdf5Handle file = create_hdf5_image(path);
    write_hdf5_table(file, "data", values_, features(), layout_.length, path);
    write_attribute(file, "n_examples", std::ssize(values_) / (features() * layout_.length), path);
    image = hdf5_image(file, path);
  }
  values_.clear();
  write_synced(files_, path, std::span<const std::byte>(image));
}

void CerebrasWriter::write_parameters() {
  Json features = {"input_ids", "attention_mask", "labels"};
  if (layout_.packed) {
    features.push_back("attention_span");
    features.push_back("position_ids");
  }
  const Json json = {{"processing",
                      {{"max_seq_length", layout_.length},
                       {"pad_id", layout_.pad_id},
                       {"vocab_size", layout_.vocab_size},
                       {"inverted_mask", false},
                       {"input_ids_dtype", "int32"},
                       {"input_mask_dtype", "int32"}}},
                     {"dataset", {{"use_vsl", layout_.packed}}},
                     {"features", features},
                     {"post-process", {{"n_examples", samples_}}}};
  write_synced(files_, folder_ / kCerebrasParameters, dump_json_pretty(json) + "\n");
}

void CerebrasWriter::finish() {
  if (!values_.empty()) {
    write_file();
  }
  write_parameters();
}

}  // namespace weft::data
