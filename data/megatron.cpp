#include "data/megatron.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <string_view>

#include "base/checked.h"
#include "base/error.h"

namespace weft::data {

namespace {

constexpr std::string_view kMagic{"MMIDIDX\0\0", 9};
constexpr std::uint64_t kVersion = 1;
constexpr std::uint64_t kHeaderBytes = 9 + 8 + 1 + 8 + 8;
/// Above this many ids Megatron's tools write i32; below, u16.
constexpr std::int64_t kShortVocabulary = 65'500;

struct IdType {
  std::size_t bytes = 0;
  bool is_signed = false;
};

IdType id_type(std::uint8_t code, const fs::path& path) {
  switch (code) {
    case 1:
      return {1, false};
    case 2:
      return {1, true};
    case 3:
      return {2, true};
    case 4:
      return {4, true};
    case 5:
      return {8, true};
    case 8:
      return {2, false};
    default:
      fail_data("{}: ids of type {}{}; weft reads the integer types 1 to 5 and 8", path.string(),
                code, code == 6 || code == 7 ? " (floating point)" : "");
  }
}

std::uint64_t read_little_endian(const std::byte* from, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    value |= std::to_integer<std::uint64_t>(from[i]) << (8 * i);
  }
  return value;
}

/// `value` of `bytes` bytes with its sign.
std::int64_t with_sign(std::uint64_t value, std::size_t bytes) {
  const auto unused = static_cast<unsigned>(64 - 8 * bytes);
  return static_cast<std::int64_t>(value << unused) >> unused;
}

template <typename T>
void read_array(const ReadableFile& file, std::uint64_t& offset, std::uint64_t count,
                std::vector<T>& out) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(count) * sizeof(T));
  file.read_at(offset, bytes);
  out.resize(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::uint64_t value = read_little_endian(bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<T>(with_sign(value, sizeof(T)));
  }
  offset += bytes.size();
}

template <typename T>
void put(std::vector<std::byte>& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<std::byte>((static_cast<std::uint64_t>(value) >> (8 * i)) & 0xFFU));
  }
}

}  // namespace

MegatronPaths megatron_paths(const fs::path& path) {
  if (path.extension() != ".bin" && path.extension() != ".idx") {
    fail_config("{}: expected NAME.bin or NAME.idx, the two files of Megatron's format",
                path.string());
  }
  MegatronPaths paths{.bin = path, .idx = path};
  paths.bin.replace_extension(".bin");
  paths.idx.replace_extension(".idx");
  return paths;
}

MegatronPaths megatron_mask_paths(const fs::path& path) {
  const fs::path name = megatron_paths(path).bin.replace_extension();
  return megatron_paths(name.string() + ".mask.bin");
}

MegatronReader::MegatronReader(FileSystem& files, const fs::path& path)
    : bin_(megatron_paths(path).bin), idx_(megatron_paths(path).idx) {
  data_ = files.open(bin_);
  read_index(files);
  check_sequences();
}

void MegatronReader::read_index(FileSystem& files) {
  const auto file = files.open(idx_);
  const std::uint64_t size = file->size();
  std::array<std::byte, kHeaderBytes> header{};
  if (size < kHeaderBytes) {
    fail_data("{}: {} bytes, a Megatron index has at least {}", idx_.string(), size, kHeaderBytes);
  }
  file->read_at(0, header);
  const std::uint64_t version = read_little_endian(header.data() + 9, 8);
  if (std::memcmp(header.data(), kMagic.data(), kMagic.size()) != 0 || version != kVersion) {
    fail_data("{}: does not begin as a Megatron index of version {} does", idx_.string(), kVersion);
  }
  const IdType type = id_type(std::to_integer<std::uint8_t>(header[17]), idx_);
  id_bytes_ = type.bytes;
  is_signed_ = type.is_signed;
  const std::uint64_t sequences = read_little_endian(header.data() + 18, 8);
  const std::uint64_t bounds = read_little_endian(header.data() + 26, 8);
  // Each number is bounded by what the file can hold before it is multiplied or allocated.
  const std::uint64_t rest = size - kHeaderBytes;
  if (sequences > rest / 12 || bounds > (rest - 12 * sequences) / 8 || bounds < 1) {
    fail_data("{}: says {} sequences and {} document bounds, which its {} bytes cannot hold",
              idx_.string(), sequences, bounds, size);
  }
  const std::uint64_t left = rest - 12 * sequences - 8 * bounds;
  if (left != 0 && left != sequences) {  // the modes, which weft has no use for
    fail_data("{}: {} bytes are left after {} sequences and {} document bounds; expected none",
              idx_.string(), left, sequences, bounds);
  }
  std::uint64_t offset = kHeaderBytes;
  read_array(*file, offset, sequences, lengths_);
  read_array(*file, offset, sequences, positions_);
  read_array(*file, offset, bounds, first_);
}

void MegatronReader::check_sequences() const {
  const auto bytes = static_cast<std::int64_t>(data_->size());
  const auto width = static_cast<std::int64_t>(id_bytes_);
  for (std::size_t i = 0; i < lengths_.size(); ++i) {
    if (lengths_[i] < 0 || positions_[i] < 0 || positions_[i] > bytes ||
        lengths_[i] > (bytes - positions_[i]) / width) {
      fail_data("{}: sequence {} has {} ids from byte {} on; {} has {} bytes", idx_.string(), i,
                lengths_[i], positions_[i], bin_.string(), bytes);
    }
  }
  const auto sequences = static_cast<std::int64_t>(lengths_.size());
  const auto down = std::adjacent_find(first_.begin(), first_.end(), std::greater<>());
  if (first_.front() != 0 || first_.back() != sequences || down != first_.end()) {
    fail_data("{}: document bounds must go up from 0 to the {} sequences, but go from {} to {}{}",
              idx_.string(), sequences, first_.front(), first_.back(),
              down != first_.end() ? " and down between" : "");
  }
}

std::int64_t MegatronReader::length(std::int64_t document) const {
  const auto index = static_cast<std::size_t>(document);
  return std::accumulate(lengths_.begin() + first_.at(index),
                         lengths_.begin() + first_.at(index + 1), std::int64_t{0});
}

void MegatronReader::read(std::int64_t document, std::vector<std::int32_t>& ids) const {
  const auto index = static_cast<std::size_t>(document);
  ids.clear();
  std::vector<std::byte> bytes;
  for (std::int64_t s = first_.at(index); s < first_.at(index + 1); ++s) {
    const auto sequence = static_cast<std::size_t>(s);
    bytes.resize(static_cast<std::size_t>(lengths_[sequence]) * id_bytes_);
    data_->read_at(static_cast<std::uint64_t>(positions_[sequence]), bytes);
    for (std::size_t at = 0; at < bytes.size(); at += id_bytes_) {
      const std::uint64_t raw = read_little_endian(bytes.data() + at, id_bytes_);
      const std::int64_t id =
          is_signed_ ? with_sign(raw, id_bytes_) : static_cast<std::int64_t>(raw);
      if (id < 0 || id > std::numeric_limits<std::int32_t>::max()) {
        fail_data("{}: document {} has the id {}, expected 0 to 2^31 - 1", bin_.string(), document,
                  id);
      }
      ids.push_back(static_cast<std::int32_t>(id));
    }
  }
}

MegatronWriter::MegatronWriter(FileSystem& files, const fs::path& path, std::int64_t vocab_size)
    : bin_(files, megatron_paths(path).bin),
      idx_(files, megatron_paths(path).idx),
      id_bytes_(vocab_size <= 2 ? 1 : (vocab_size < kShortVocabulary ? 2 : 4)) {}

void MegatronWriter::add(const std::vector<std::int32_t>& ids) {
  std::vector<std::byte> bytes;
  bytes.reserve(ids.size() * id_bytes_);
  for (const std::int32_t id : ids) {
    if (id_bytes_ == 1) {
      put(bytes, checked_cast<std::uint8_t>(id, "a mask"));
    } else if (id_bytes_ == 2) {
      put(bytes, checked_cast<std::uint16_t>(id, "an id of a small vocabulary"));
    } else {
      put(bytes, id);
    }
  }
  bin_.append(bytes);
  lengths_.push_back(checked_cast<std::int32_t>(ids.size(), "tokens of a document"));
}

void MegatronWriter::finish() {
  std::vector<std::byte> bytes;
  bytes.reserve(kHeaderBytes + 20 * lengths_.size() + 8);
  for (const char c : kMagic) {
    bytes.push_back(static_cast<std::byte>(c));
  }
  put(bytes, kVersion);
  put(bytes, static_cast<std::uint8_t>(id_bytes_ == 1 ? 1 : (id_bytes_ == 2 ? 8 : 4)));
  put(bytes, static_cast<std::uint64_t>(lengths_.size()));
  put(bytes, static_cast<std::uint64_t>(lengths_.size() + 1));
  for (const std::int32_t length : lengths_) {
    put(bytes, length);
  }
  std::int64_t position = 0;
  for (const std::int32_t length : lengths_) {
    put(bytes, position);
    position += length * static_cast<std::int64_t>(id_bytes_);
  }
  for (std::size_t document = 0; document <= lengths_.size(); ++document) {
    put(bytes, static_cast<std::int64_t>(document));
  }
  idx_.append(bytes);
  bin_.commit();
  idx_.commit();
}

}  // namespace weft::data
