#include "model/safetensors.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace weft::model {
namespace {

constexpr std::uint64_t kPrefix = 8;

[[noreturn]] void fail_not_safetensors(const std::string& path, std::string_view first_bytes,
                                       const std::string& why) {
  const auto format = foreign_format(first_bytes);
  if (!format) throw Error(ErrorKind::kData, path + ": " + why);
  fail_data("{}: this is {}, not a safetensors file; weft reads weights from safetensors only",
            path, *format);
}

std::uint64_t header_length(const std::array<std::byte, kPrefix>& prefix) {
  std::uint64_t length = 0;
  for (std::size_t i = kPrefix; i-- > 0;)
    length = length << 8 | std::to_integer<unsigned>(prefix[i]);
  return length;
}

/// The first bytes of the file, as many as tell formats apart.
std::string first_bytes(const ReadableFile& file) {
  std::string text(std::min<std::uint64_t>(file.size(), 32), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

/// Checks the length prefix against the format's limit and the file's size, and returns it.
std::uint64_t read_header_length(const ReadableFile& file, const std::string& path) {
  const std::uint64_t size = file.size();
  if (size < kPrefix) {
    fail_not_safetensors(
        path, first_bytes(file),
        fmt::format("the file has {} bytes; a safetensors file has at least 8, the "
                    "length of its header: it is cut short or of another kind",
                    size));
  }
  std::array<std::byte, kPrefix> prefix{};
  file.read_at(0, prefix);
  const std::uint64_t length = header_length(prefix);
  if (length > kMaxSafetensorsHeader) {
    fail_not_safetensors(path, first_bytes(file),
                         fmt::format("the header's length is {} bytes; the format allows {}: the "
                                     "file is damaged or not a safetensors file",
                                     length, kMaxSafetensorsHeader));
  }
  if (length > size - kPrefix) {
    fail_not_safetensors(path, first_bytes(file),
                         fmt::format("the header's length is {} bytes but only {} follow: the file "
                                     "is cut short; download or copy it again",
                                     length, size - kPrefix));
  }
  return length;
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::string path, std::unique_ptr<ReadableFile> file,
                                 std::uint64_t buffer, SafetensorsHeader header)
    : path_(std::move(path)), file_(std::move(file)), buffer_(buffer), header_(std::move(header)) {}

SafetensorsFile SafetensorsFile::open(FileSystem& files, const fs::path& path, bool follow_links) {
  std::unique_ptr<ReadableFile> file = files.open(path, follow_links);
  const std::uint64_t length = read_header_length(*file, path.string());
  std::string json(length, '\0');
  file->read_at(kPrefix, std::as_writable_bytes(std::span(json)));
  const std::uint64_t buffer = kPrefix + length;
  SafetensorsHeader header = parse_safetensors_header(json, path.string(), file->size() - buffer);
  return {path.string(), std::move(file), buffer, std::move(header)};
}

bool SafetensorsFile::contains(std::string_view name) const {
  return header_.tensors.find(name) != header_.tensors.end();
}

const TensorInfo& SafetensorsFile::info(std::string_view name) const {
  const auto found = header_.tensors.find(name);
  if (found != header_.tensors.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [each, info] : header_.tensors) names.push_back(each);
  const std::string nearest = nearest_name(name, names);
  fail_data("{}: holds no tensor '{}' among its {}{}", path_, printable(name), names.size(),
            nearest.empty() ? "" : fmt::format("; the nearest name is '{}'", nearest));
}

void SafetensorsFile::read(const TensorInfo& tensor, std::span<std::byte> out) const {
  if (out.size() != tensor.bytes()) {
    fail_internal("{}: {} bytes given for a tensor of {}", path_, out.size(), tensor.bytes());
  }
  read_range(tensor, 0, out);
}

void SafetensorsFile::read_range(const TensorInfo& tensor, std::uint64_t offset,
                                 std::span<std::byte> out) const {
  if (offset > tensor.bytes() || out.size() > tensor.bytes() - offset) {
    fail_internal("{}: {} bytes at {} are outside a tensor of {}", path_, out.size(), offset,
                  tensor.bytes());
  }
  if (!out.empty()) file_->read_at(buffer_ + tensor.begin + offset, out);
}

SafetensorsWriter::SafetensorsWriter(FileSystem& files, const fs::path& path,
                                     std::vector<TensorSpec> tensors, Metadata metadata)
    : path_(path.string()), tensors_(std::move(tensors)) {
  metadata.try_emplace("format", "pt");
  sort_for_safetensors(tensors_);
  const std::string header = make_safetensors_header(tensors_, metadata);
  file_ = files.create(path);
  file_->append(header);
  if (!tensors_.empty()) remaining_ = tensor_bytes(tensors_[0].dtype, tensors_[0].shape, path_);
  skip_full_tensors();
}

void SafetensorsWriter::skip_full_tensors() {
  while (next_ < tensors_.size() && remaining_ == 0) {
    ++next_;
    if (next_ < tensors_.size()) {
      remaining_ = tensor_bytes(tensors_[next_].dtype, tensors_[next_].shape, path_);
    }
  }
}

void SafetensorsWriter::append(std::string_view name, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (next_ == tensors_.size() || tensors_[next_].name != name) {
    fail_internal("{}: bytes of tensor '{}' arrived where {} is due", path_, name,
                  next_ == tensors_.size() ? "nothing" : "'" + tensors_[next_].name + "'");
  }
  if (bytes.size() > remaining_) {
    fail_internal("{}: {} bytes arrived for tensor '{}', which lacks {}", path_, bytes.size(), name,
                  remaining_);
  }
  file_->append(bytes);
  remaining_ -= bytes.size();
  skip_full_tensors();
}

void SafetensorsWriter::finish() {
  if (next_ != tensors_.size()) {
    fail_internal("{}: tensor '{}' lacks {} bytes", path_, tensors_[next_].name, remaining_);
  }
  file_->sync();
  file_->close();
  file_.reset();
}

void publish_safetensors(FileSystem& files, const fs::path& path,
                         std::span<const TensorBytes> tensors, const Metadata& metadata) {
  std::vector<TensorSpec> specs;
  std::map<std::string_view, std::span<const std::byte>> bytes;
  for (const TensorBytes& tensor : tensors) {
    specs.push_back(tensor.spec);
    bytes[tensor.spec.name] = tensor.bytes;
    if (tensor.bytes.size() != tensor_bytes(tensor.spec.dtype, tensor.spec.shape, "a tensor")) {
      fail_internal("{}: tensor '{}' of shape {} was given {} bytes", path.string(),
                    tensor.spec.name, shape_text(tensor.spec.shape), tensor.bytes.size());
    }
  }
  Metadata with_format = metadata;
  with_format.try_emplace("format", "pt");
  sort_for_safetensors(specs);
  const std::string header = make_safetensors_header(specs, with_format);
  PublishedFile file(files, path);
  file.append(header);
  for (const TensorSpec& spec : specs) file.append(bytes[spec.name]);
  file.commit();
}

}  // namespace weft::model
