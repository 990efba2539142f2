#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/error.h"

namespace weft::data {

/// Reads the fields of a protocol buffer one after another.
class WireReader {
 public:
  enum Type : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  struct Field {
    std::uint32_t number = 0;
    Type type = kVarint;
    std::uint64_t value = 0;  ///< of a number
    std::string_view bytes;   ///< of a string or message
    std::size_t offset = 0;   ///< of the value, in the message
  };

  WireReader(std::string_view message, std::string_view name) : message_(message), name_(name) {}

  /// False at the end. A data Error when the bytes are no protocol buffer.
  bool next(Field& field) {
    if (at_ == message_.size()) return false;
    const std::uint64_t key = varint();
    field = {};
    field.number = static_cast<std::uint32_t>(key >> 3);
    field.type = static_cast<Type>(key & 7);
    if (field.number == 0 || key >> 32 != 0) damaged();
    field.offset = at_;
    switch (field.type) {
      case kVarint:
        field.value = varint();
        return true;
      case kFixed64:
        field.value = fixed(8);
        return true;
      case kFixed32:
        field.value = fixed(4);
        return true;
      case kBytes: {
        const std::uint64_t size = varint();
        field.offset = at_;
        field.bytes = take(size);
        return true;
      }
    }
    damaged();
  }

  [[noreturn]] void damaged() const {
    fail_data("{}: is damaged or is not a SentencePiece model (byte {} of a message of {})", name_,
              at_, message_.size());
  }

 private:
  std::string_view take(std::uint64_t size) {
    if (size > message_.size() - at_) damaged();
    const std::string_view bytes = message_.substr(at_, size);
    at_ += size;
    return bytes;
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(take(1)[0]);
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    damaged();
  }

  std::uint64_t fixed(std::size_t size) {
    static_assert(std::endian::native == std::endian::little);
    std::uint64_t value = 0;
    std::memcpy(&value, take(size).data(), size);
    return value;
  }

  std::string_view message_;
  std::string_view name_;
  std::size_t at_ = 0;
};

}  // namespace weft::data
