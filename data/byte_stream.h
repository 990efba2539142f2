#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/file_system.h"

namespace weft::data {

/// The bytes of a file in order, decompressed on the way. Used from one thread.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Fills the front of `out` (at least 1 byte) and returns how much it filled; 0 at the end and
  /// only there.
  [[nodiscard]] virtual std::size_t read(std::span<std::byte> out) = 0;
  /// Bytes of the file consumed so far, as they lie on the disk: for progress.
  [[nodiscard]] virtual std::uint64_t bytes_read() const = 0;
  [[nodiscard]] virtual bool compressed() const = 0;
};

/// Bytes that a compressed file may always give, and how many times its own size it may give
/// beyond that: far more than text compresses by, and an end to a file made to fill a machine.
inline constexpr std::uint64_t kFreeExpansion = std::uint64_t{256} << 20;
inline constexpr std::uint64_t kMaxExpansion = 2000;

/// Opens a file. gzip and Zstandard are recognised by their first bytes, whatever the name, and
/// decompressed in constant memory; members or frames one after another are one stream, as `gzip
/// -d` and `zstd -d` read them. Data Errors name the file and the offset where the compressed data
/// is cut short or damaged, and refuse a file that grows beyond kMaxExpansion, or a Zstandard frame
/// that needs more than 128 MiB of memory.
[[nodiscard]] std::unique_ptr<ByteStream> open_byte_stream(FileSystem& files, const fs::path& path);

/// `path` without the extension of a compressed file: "a.jsonl" for "a.jsonl.gz" and "a.jsonl.zst".
[[nodiscard]] fs::path uncompressed_name(const fs::path& path);

}  // namespace weft::data
