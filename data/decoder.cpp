#include "data/decoder.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace weft::data {

namespace {

constexpr int kMaxWindowLog = 27;  // 128 MiB, as the zstd program takes without being asked

class GzipDecoder final : public Decoder {
 public:
  GzipDecoder() {
    // 16: a gzip header, and nothing else.
    if (inflateInit2(&stream_, MAX_WBITS + 16) != Z_OK) {
      fail(ErrorKind::kOutOfMemory, "no memory left to decompress gzip data");
    }
  }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;
  ~GzipDecoder() override { inflateEnd(&stream_); }

  Step decode(std::span<const std::byte> in, std::span<std::byte> out,
              std::string& problem) override {
    if (whole_ && skip_padding(in)) {
      return {.consumed = in.size(), .produced = 0};
    }
    if (whole_ && !in.empty()) {
      inflateReset(&stream_);
      whole_ = false;
    }
    const std::size_t limit = std::numeric_limits<uInt>::max();
    const auto available = static_cast<uInt>(std::min(in.size(), limit));
    const auto room = static_cast<uInt>(std::min(out.size(), limit));
    // zlib's interface predates const; it does not write there.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = available;
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = room;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    whole_ = result == Z_STREAM_END;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      problem = stream_.msg != nullptr ? stream_.msg : "it does not decompress";
    }
    return {.consumed = available - stream_.avail_in, .produced = room - stream_.avail_out};
  }
  [[nodiscard]] bool between_members() const override { return whole_; }
  [[nodiscard]] std::string_view name() const override { return "gzip"; }

 private:
  [[nodiscard]] static bool skip_padding(std::span<const std::byte> in) {
    return std::all_of(in.begin(), in.end(), [](std::byte byte) { return byte == std::byte{0}; });
  }

  z_stream stream_{};
  bool whole_ = false;
};

class ZstdDecoder final : public Decoder {
 public:
  ZstdDecoder() : context_(ZSTD_createDCtx()) {
    if (context_ == nullptr) {
      fail(ErrorKind::kOutOfMemory, "no memory left to decompress Zstandard data");
    }
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, kMaxWindowLog);
  }
  ZstdDecoder(const ZstdDecoder&) = delete;
  ZstdDecoder& operator=(const ZstdDecoder&) = delete;
  ~ZstdDecoder() override { ZSTD_freeDCtx(context_); }

  Step decode(std::span<const std::byte> in, std::span<std::byte> out,
              std::string& problem) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t result = ZSTD_decompressStream(context_, &output, &input);
    if (ZSTD_isError(result) != 0) {
      problem = ZSTD_getErrorName(result);
    }
    whole_ = result == 0;
    return {.consumed = input.pos, .produced = output.pos};
  }
  [[nodiscard]] bool between_members() const override { return whole_; }
  [[nodiscard]] std::string_view name() const override { return "Zstandard"; }

 private:
  ZSTD_DCtx* context_;
  bool whole_ = false;
};

}  // namespace

std::unique_ptr<Decoder> make_gzip_decoder() { return std::make_unique<GzipDecoder>(); }
std::unique_ptr<Decoder> make_zstd_decoder() { return std::make_unique<ZstdDecoder>(); }

}  // namespace weft::data
