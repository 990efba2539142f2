#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/sentencepiece_model.h"

namespace weft::data {

inline std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

inline std::string number_field(unsigned number, std::uint64_t value) {
  return varint(number << 3) + varint(value);
}

inline std::string bytes_field(unsigned number, std::string_view bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

inline std::string float_field(unsigned number, float value) {
  std::string bytes = varint(number << 3 | 5);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  for (unsigned shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift);
  return bytes;
}

inline std::string piece_field(std::string_view text, int type, float score = 0) {
  return bytes_field(1, bytes_field(1, text) + float_field(2, score) +
                            number_field(3, static_cast<std::uint64_t>(type)));
}

/// A model file of these pieces: BPE that keeps text as it is.
inline std::string model_file(const std::vector<std::string>& pieces,
                              std::string_view normalizer = "") {
  std::string bytes;
  for (const std::string& piece : pieces) bytes += piece;
  bytes += bytes_field(2, number_field(3, 2));
  return bytes + bytes_field(3, normalizer.empty() ? number_field(3, 0) + number_field(4, 0)
                                                   : std::string(normalizer));
}

}  // namespace weft::data
