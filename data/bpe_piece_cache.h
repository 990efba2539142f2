#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

namespace weft::data {

/// What pieces of text became, so that one seen a moment ago need not be merged again. Of two
/// pieces for one place the later stays. Takes 2 MiB; for one thread at a time.
class BpePieceCache {
 public:
  BpePieceCache() : entries_(kEntries) {}

  /// The ids of a piece whose hash this is; empty when it is not there.
  [[nodiscard]] std::span<const std::int32_t> find(std::string_view piece,
                                                   std::uint64_t hash) const {
    const Entry& entry = entries_[hash % kEntries];
    if (entry.size != piece.size() || std::memcmp(entry.text.data(), piece.data(), piece.size())) {
      return {};
    }
    return {entry.ids.data(), entry.count};
  }

  /// Remembers a piece that is not empty, if it and its ids are short enough.
  void put(std::string_view piece, std::uint64_t hash, std::span<const std::int32_t> ids) {
    Entry& entry = entries_[hash % kEntries];
    if (piece.size() > entry.text.size() || ids.size() > entry.ids.size()) return;
    entry.size = static_cast<std::uint8_t>(piece.size());
    entry.count = static_cast<std::uint8_t>(ids.size());
    std::memcpy(entry.text.data(), piece.data(), piece.size());
    std::memcpy(entry.ids.data(), ids.data(), ids.size_bytes());
  }

 private:
  static constexpr std::size_t kEntries = 1 << 14;

  /// Two lines of a processor's cache. Most pieces fit: long runs of Chinese have some 20 letters.
  struct alignas(64) Entry {
    std::uint8_t size = 0;
    std::uint8_t count = 0;
    std::array<char, 66> text{};
    std::array<std::int32_t, 15> ids{};
  };
  static_assert(sizeof(Entry) == 128);

  std::vector<Entry> entries_;
};

/// The caches of one tokenizer: as many as threads encode at once. They outlive the threads.
class BpePieceCaches {
 public:
  /// A cache that is the caller's until it is given back.
  [[nodiscard]] std::unique_ptr<BpePieceCache> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<BpePieceCache> cache = std::move(free_.back());
        free_.pop_back();
        return cache;
      }
    }
    return std::make_unique<BpePieceCache>();
  }

  void give_back(std::unique_ptr<BpePieceCache> cache) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(cache));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<BpePieceCache>> free_;
};

}  // namespace weft::data
