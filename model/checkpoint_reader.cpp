#include "model/checkpoint_reader.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "model/checkpoint_files.h"
#include "model/checkpoint_index.h"

namespace weft::model {
namespace {

constexpr std::string_view kSingle = "model.safetensors";

/// Says what a folder without safetensors weights holds instead.
[[noreturn]] void fail_no_weights(FileSystem& files, const fs::path& folder) {
  for (const std::string& name : files.list(folder)) {
    const std::string extension = fs::path(name).extension().string();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".gguf") {
      fail_data(
          "{}: holds no model.safetensors and no {} but '{}'; weft reads weights from "
          "safetensors only: convert it, or download the safetensors release",
          folder.string(), kIndexName, printable(name));
    }
  }
  fail_data("{}: holds neither model.safetensors nor {}", folder.string(), kIndexName);
}

std::vector<SafetensorsFile> open_weight_files(FileSystem& files, const fs::path& folder) {
  std::vector<SafetensorsFile> opened;
  const std::vector<std::string> names = files.list(folder);
  const auto has = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (has(kSingle)) {
    opened.push_back(SafetensorsFile::open(files, locate_weight_file(folder, kSingle), false));
  } else if (has(kIndexName)) {
    const CheckpointIndex index = read_checkpoint_index(files, folder / kIndexName);
    for (const std::string& shard : index.shards) {
      opened.push_back(SafetensorsFile::open(files, locate_weight_file(folder, shard), false));
    }
    check_index(index, opened);
  } else {
    fail_no_weights(files, folder);
  }
  return opened;
}

}  // namespace

CheckpointReader CheckpointReader::open(FileSystem& files, const fs::path& model_folder) {
  if (!files.is_folder(model_folder)) {
    fail_data("{}: is not a folder; a model is a folder with config.json and *.safetensors",
              model_folder.string());
  }
  CheckpointReader reader(model_folder.string());
  reader.add_files(open_weight_files(files, model_folder));
  return reader;
}

void CheckpointReader::add_files(std::vector<SafetensorsFile> files) {
  files_ = std::move(files);
  for (const SafetensorsFile& file : files_) {
    for (const auto& [name, info] : file.tensors()) places_[name] = {&file, &info};
  }
}

std::vector<std::string> CheckpointReader::names() const {
  std::vector<std::string> names;
  names.reserve(places_.size());
  for (const auto& [name, place] : places_) names.emplace_back(name);
  return names;
}

bool CheckpointReader::contains(std::string_view name) const { return places_.contains(name); }

std::uint64_t CheckpointReader::total_bytes() const {
  std::uint64_t total = 0;
  for (const auto& [name, place] : places_) total += place.info->bytes();
  return total;
}

const CheckpointReader::Place& CheckpointReader::place(std::string_view name) const {
  const auto found = places_.find(name);
  if (found != places_.end()) return found->second;
  const std::string nearest = nearest_name(name, names());
  fail_data("{}: the weights hold no tensor '{}' among {}{}", folder_, printable(name),
            places_.size(),
            nearest.empty() ? "" : fmt::format("; the nearest name is '{}'", printable(nearest)));
}

const TensorInfo& CheckpointReader::info(std::string_view name) const { return *place(name).info; }

const TensorInfo& CheckpointReader::expect(std::string_view name,
                                           std::span<const std::int64_t> shape) const {
  const Place& found = place(name);
  if (!std::equal(shape.begin(), shape.end(), found.info->shape.begin(), found.info->shape.end())) {
    fail_data("{}: tensor '{}' has shape {}; config.json asks for {}", found.file->path(),
              printable(name), shape_text(found.info->shape), shape_text(shape));
  }
  if (!is_weight_dtype(found.info->dtype)) {
    fail_data("{}: tensor '{}' has type {}; weights may be BF16, F16, F32 or F64",
              found.file->path(), printable(name), dtype_name(found.info->dtype));
  }
  return *found.info;
}

void CheckpointReader::read(std::string_view name, std::span<std::byte> out) const {
  const Place& found = place(name);
  found.file->read(*found.info, out);
}

void CheckpointReader::read_as(std::string_view name, std::uint64_t first, DType dtype,
                               std::span<std::byte> out) const {
  const Place& found = place(name);
  const std::size_t from_width = dtype_bytes(found.info->dtype);
  if (found.info->dtype == dtype) {
    return found.file->read_range(*found.info, first * from_width, out);
  }
  constexpr std::size_t kPiece = std::size_t{1} << 18;  // elements
  const std::size_t to_width = dtype_bytes(dtype);
  const std::size_t count = out.size() / to_width;
  std::vector<std::byte> stored(std::min(count, kPiece) * from_width);
  for (std::size_t done = 0; done < count; done += kPiece) {
    const std::size_t n = std::min(kPiece, count - done);
    const auto piece = std::span(stored).first(n * from_width);
    found.file->read_range(*found.info, (first + done) * from_width, piece);
    convert_elements(found.info->dtype, piece, dtype, out.subspan(done * to_width, n * to_width));
  }
}

}  // namespace weft::model
