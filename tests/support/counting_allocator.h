#pragma once

#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace weft::test {

/// LibTorch's CPU memory, counted.
class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    auto* block = new Block{inner_->allocate(bytes), this, static_cast<std::int64_t>(bytes)};
    const std::int64_t now = current_.fetch_add(block->bytes) + block->bytes;
    peak_ = std::max<std::int64_t>(peak_, now);
    return {block->data.get(), block, &CountingAllocator::release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
  /// Bytes that are allocated now, and the most that were at any time.
  [[nodiscard]] std::int64_t current() const { return current_; }
  [[nodiscard]] std::int64_t peak() const { return peak_; }
  /// From now on peak() is the most from now on.
  void forget_peak() { peak_ = current_.load(); }
  /// Memory that is allocated from now on is not counted.
  void stop() { c10::SetCPUAllocator(inner_, kPriority); }
  void start() { c10::SetCPUAllocator(this, kPriority); }

 private:
  static constexpr std::uint8_t kPriority = 100;
  struct Block {
    c10::DataPtr data;
    CountingAllocator* owner;
    std::int64_t bytes;
  };
  static void release(void* context) {
    auto* block = static_cast<Block*>(context);
    block->owner->current_ -= block->bytes;
    delete block;
  }

  c10::Allocator* inner_ = c10::GetCPUAllocator();
  std::atomic<std::int64_t> current_ = 0;
  std::atomic<std::int64_t> peak_ = 0;
};

/// Counts from now on; lives as long as the process.
inline CountingAllocator& count_allocations() {
  auto& counter = *new CountingAllocator;
  counter.start();
  return counter;
}

}  // namespace weft::test
