#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace weft::data {

/// Decompresses a stream in steps. Used from one thread.
class Decoder {
 public:
  struct Step {
    std::size_t consumed = 0;  ///< of the input
    std::size_t produced = 0;  ///< at the front of the output
  };

  virtual ~Decoder() = default;
  /// Decodes some of `in` into `out`; with an empty `in`, what is still held back. `problem` is set
  /// to what is wrong with the data, if anything; then no other call may follow.
  [[nodiscard]] virtual Step decode(std::span<const std::byte> in, std::span<std::byte> out,
                                    std::string& problem) = 0;
  /// Whether the data may end here: one member or frame is whole and no other has begun.
  [[nodiscard]] virtual bool between_members() const = 0;
  /// "gzip" or "Zstandard".
  [[nodiscard]] virtual std::string_view name() const = 0;
};

/// RFC 1952, through zlib. Zeros after a member, as tape archives leave them, end the data.
[[nodiscard]] std::unique_ptr<Decoder> make_gzip_decoder();
/// RFC 8878, through libzstd.
[[nodiscard]] std::unique_ptr<Decoder> make_zstd_decoder();

}  // namespace weft::data
