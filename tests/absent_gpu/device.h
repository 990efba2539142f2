#pragma once

// The state of the GPU that is not there: its memory, its streams, and a count of what it was
// asked to do. Every function may be called by any thread.

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tests/absent_gpu/control.h"

namespace weft::absent_gpu {

/// What a device does for the host.
enum class Work { kLaunch, kProduct, kAttention, kCollective, kCopy, kSet };

/// Work that is recorded instead of done.
struct Recording {
  struct Item {
    Work work;
    std::string name;
  };
  std::vector<Item> items;
};

/// Memory that a program was given, by its first byte.
struct Block {
  std::size_t bytes;
  bool on_device;
};

class Device {
 public:
  /// Lives as long as the process does: libraries call it from their last destructors.
  static Device& get();

  /// Null where the device has not that much left. Zeroed; pages are taken when they are touched.
  void* allocate(std::size_t bytes, bool on_device);
  /// False: no such block begins there.
  bool release(void* data);
  /// The block that [data, data + bytes) lies in, of either kind; bytes 0 where there is none.
  Block find(const void* data, std::size_t bytes, const void** begin = nullptr);
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  std::size_t free_bytes();

  /// `recording` null: it is done now.
  void work(Work work, const std::string& name, Recording* recording);
  void launch(const Recording& recording);
  /// The host waits for all work so far; counted if there was some since it waited last.
  void host_waited();
  /// Prints it too. Returns false, so that a check can end with it.
  bool fault(const std::string& text);

  void counts(WeftAbsentGpuCounts* counts);
  void reset();
  const char* first_fault();
  /// Kernels, products, … by name, most often first: "COUNT NAME" per line.
  std::string names();

 private:
  Device();
  void count(Work work, const std::string& name);
  void write_report();

  std::mutex mutex_;
  std::size_t capacity_;
  std::map<const char*, Block> blocks_;
  WeftAbsentGpuCounts counts_{};
  std::map<std::string, std::uint64_t> names_;
  std::string fault_;
  bool is_busy_ = false;
};

/// Whether [data, data + bytes) is device memory; else a fault that names `what`.
bool is_device_memory(const void* data, std::size_t bytes, const char* what);

}  // namespace weft::absent_gpu
