#include "data/byte_stream.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "data/decoder.h"

namespace weft::data {

namespace {

constexpr std::size_t kBlock = std::size_t{256} << 10;

enum class Compression { kNone, kGzip, kZstd };

Compression find_compression(const ReadableFile& file) {
  std::array<unsigned char, 4> head{};
  const std::uint64_t count = std::min<std::uint64_t>(head.size(), file.size());
  if (count != 0) {
    file.read_at(0, std::as_writable_bytes(std::span(head).first(count)));
  }
  if (count >= 2 && head[0] == 0x1F && head[1] == 0x8B) {
    return Compression::kGzip;
  }
  const bool frame = head == std::array<unsigned char, 4>{0x28, 0xB5, 0x2F, 0xFD};
  const bool skippable =
      (head[0] & 0xF0) == 0x50 && head[1] == 0x2A && head[2] == 0x4D && head[3] == 0x18;
  return frame || skippable ? Compression::kZstd : Compression::kNone;
}

class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(std::unique_ptr<ReadableFile> file) : file_(std::move(file)) {}

  std::size_t read(std::span<std::byte> out) override {
    const auto count = std::min<std::uint64_t>(out.size(), file_->size() - offset_);
    if (count != 0) {
      file_->read_at(offset_, out.first(count));
      offset_ += count;
    }
    return count;
  }
  [[nodiscard]] std::uint64_t bytes_read() const override { return offset_; }
  [[nodiscard]] bool compressed() const override { return false; }

 private:
  std::unique_ptr<ReadableFile> file_;
  std::uint64_t offset_ = 0;
};

/// A decoder fed from a file, block by block.
class CompressedStream final : public ByteStream {
 public:
  CompressedStream(const fs::path& path, std::unique_ptr<ReadableFile> file,
                   std::unique_ptr<Decoder> decoder)
      : path_(path), source_(std::move(file)), decoder_(std::move(decoder)) {}

  std::size_t read(std::span<std::byte> out) override {
    while (true) {
      if (input_.empty() && !at_end_) {
        fill();
      }
      if (input_.empty() && decoder_->between_members()) {
        return 0;
      }
      const Decoder::Step step = decode(out);
      input_ = input_.subspan(step.consumed);
      produced_ += step.produced;
      if (step.produced != 0) {
        check_expansion();
        return step.produced;
      }
      if (at_end_ && step.consumed == 0) {
        fail_data(
            "{}: the {} data is cut short at byte {}, its end is missing; copy or compress the "
            "file again",
            path_.string(), decoder_->name(), bytes_read());
      }
    }
  }
  [[nodiscard]] std::uint64_t bytes_read() const override {
    return source_.bytes_read() - input_.size();
  }
  [[nodiscard]] bool compressed() const override { return true; }

 private:
  void fill() {
    block_.resize(kBlock);
    const std::size_t count = source_.read(std::span(block_));
    input_ = std::span<const std::byte>(block_).first(count);
    at_end_ = count == 0;
  }

  Decoder::Step decode(std::span<std::byte> out) {
    std::string problem;
    const Decoder::Step step = decoder_->decode(input_, out, problem);
    if (!problem.empty()) {
      fail_data("{}: the {} data is damaged near byte {} ({}); copy or compress the file again",
                path_.string(), decoder_->name(), bytes_read(), problem);
    }
    return step;
  }

  void check_expansion() const {
    if (produced_ > kFreeExpansion && produced_ / kMaxExpansion > bytes_read()) {
      fail_data(
          "{}: its first {} expand to {}: more than {} times their size, which no corpus does; "
          "check the file, or decompress it yourself",
          path_.string(), human_bytes(bytes_read()), human_bytes(produced_), kMaxExpansion);
    }
  }

  fs::path path_;
  PlainStream source_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<std::byte> block_;
  std::span<const std::byte> input_;  ///< of block_, not yet decoded
  bool at_end_ = false;
  std::uint64_t produced_ = 0;
};

}  // namespace

std::unique_ptr<ByteStream> open_byte_stream(FileSystem& files, const fs::path& path) {
  std::unique_ptr<ReadableFile> file = files.open(path);
  switch (find_compression(*file)) {
    case Compression::kGzip:
      return std::make_unique<CompressedStream>(path, std::move(file), make_gzip_decoder());
    case Compression::kZstd:
      return std::make_unique<CompressedStream>(path, std::move(file), make_zstd_decoder());
    case Compression::kNone:
      break;
  }
  return std::make_unique<PlainStream>(std::move(file));
}

fs::path uncompressed_name(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".gz" || extension == ".gzip" || extension == ".zst" || extension == ".zstd"
             ? path.parent_path() / path.stem()
             : path;
}

}  // namespace weft::data
