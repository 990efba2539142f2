#include "trainer/tensorboard.h"

#include <unistd.h>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>

#include "base/error.h"

namespace weft::trainer {

namespace {

constexpr std::array<std::uint32_t, 256> crc32c_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    }
    table[byte] = crc;
  }
  return table;
}

constexpr auto kCrc32cTable = crc32c_table();

template <typename T>
void put_little_endian(std::string& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i))));
  }
}

// The protocol buffer wire format: a key (field number and wire type), then the value.
enum WireType : std::uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void put_key(std::string& out, std::uint64_t field, WireType type) {
  put_varint(out, field << 3 | type);
}

void put_bytes(std::string& out, std::uint64_t field, std::string_view bytes) {
  put_key(out, field, kBytes);
  put_varint(out, bytes.size());
  out += bytes;
}

/// An Event with its wall_time (1) and step (2).
std::string event(double wall_time, std::int64_t step) {
  std::string out;
  put_key(out, 1, kFixed64);
  put_little_endian(out, std::bit_cast<std::uint64_t>(wall_time));
  put_key(out, 2, kVarint);
  put_varint(out, static_cast<std::uint64_t>(step));
  return out;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

fs::path unused_path(FileSystem& files, const fs::path& folder, double wall_time) {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) {
    std::strcpy(host, "unknown");
  }
  for (int number = 0;; ++number) {
    const fs::path path =
        folder / fmt::format("events.out.tfevents.{:010}.{}.{}.{}.weft",
                             static_cast<std::int64_t>(wall_time), host, ::getpid(), number);
    if (!files.exists(path)) {
      return path;
    }
  }
}

}  // namespace

std::uint32_t masked_crc32c(std::span<const std::byte> bytes) {
  std::uint32_t crc = ~0U;
  for (const std::byte byte : bytes) {
    crc = kCrc32cTable[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xff] ^ (crc >> 8);
  }
  return std::rotr(~crc, 15) + 0xa282ead8U;
}

std::string tfrecord(std::string_view payload) {
  std::string out;
  put_little_endian(out, static_cast<std::uint64_t>(payload.size()));
  put_little_endian(out, masked_crc32c(bytes_of(out)));
  out += payload;
  put_little_endian(out, masked_crc32c(bytes_of(payload)));
  return out;
}

TensorBoardWriter::TensorBoardWriter(FileSystem& files, const fs::path& folder,
                                     std::int64_t resumed_step, double wall_time) {
  files.make_folders(folder);
  file_ = files.create(unused_path(files, folder, wall_time));
  std::string version = event(wall_time, 0);
  put_bytes(version, 3, "brain.Event:2");
  file_->append(tfrecord(version));
  if (resumed_step > 0) {
    std::string start;
    put_key(start, 1, kVarint);
    put_varint(start, 1);  // SessionLog.status = START
    std::string restart = event(wall_time, resumed_step + 1);
    put_bytes(restart, 7, start);
    file_->append(tfrecord(restart));
  }
}

void TensorBoardWriter::add_scalar(std::string_view tag, std::int64_t step, float value,
                                   double wall_time) {
  std::string scalar;
  put_bytes(scalar, 1, tag);
  put_key(scalar, 2, kFixed32);
  put_little_endian(scalar, std::bit_cast<std::uint32_t>(value));
  std::string summary;
  put_bytes(summary, 1, scalar);
  std::string record = event(wall_time, step);
  put_bytes(record, 5, summary);
  file_->append(tfrecord(record));
}

double wall_clock() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace weft::trainer
