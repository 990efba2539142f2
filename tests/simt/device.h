#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/simt/history.h"
#include "tests/simt/violation.h"

namespace weft::simt {

/// What a kernel may do with a buffer. An output holds nothing that may be read before it is
/// written.
enum class Role { kInput, kOutput, kInOut };

/// How much a buffer was accessed. A GPU moves memory in sectors of 32 bytes: a warp's access to 16
/// neighbouring bytes per lane is 16 sectors.
struct Traffic {
  std::int64_t bytes = 0;
  std::int64_t accesses = 0;  ///< one per thread and load or store
  std::int64_t sectors = 0;   ///< distinct ones per warp and load or store

  friend bool operator==(const Traffic&, const Traffic&) = default;
};

/// The memory of the emulated GPU: buffers of the host that were registered, who touched them, and
/// how much. One is in use at a time. Launches on a device that broke a rule may go on.
class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// The device that launches and accesses go to. Lives as long as the program.
  static Device& current();

  /// Forgets all buffers and their traffic.
  void clear() { buffers_.clear(); }

  /// Makes [data, data + bytes) known under a name. A buffer registered before at an overlapping
  /// place is forgotten.
  void add(std::string name, void* data, std::size_t bytes, Role role) {
    add_rows(std::move(name), data, {1, bytes, bytes}, role);
  }
  /// The same for rows in wider ones; what is behind a row does not belong to the buffer.
  struct RowBytes {
    std::size_t rows;
    std::size_t width;
    std::size_t stride;  ///< from one row to the next
  };
  void add_rows(std::string name, void* data, const RowBytes& bytes, Role role);

  /// Traffic of a buffer since it was added. A name that is not known is a defect of the test.
  [[nodiscard]] const Traffic& reads(const std::string& name) const { return find(name).read; }
  [[nodiscard]] const Traffic& writes(const std::string& name) const { return find(name).write; }

  /// Throws Rule::kUnwritten when a byte of an output has not been written.
  void check_written() const;

  /// One access of a thread; called by the platform. Throws when it breaks a rule.
  void access(const void* pointer, std::size_t size, bool write, const Moment& now,
              const Where& where);
  /// Ends a block: the accesses of its warps are added to the traffic.
  void end_block();
  /// Begins a launch; returns its number, from 1.
  std::uint32_t begin_launch() { return ++launches_; }
  [[nodiscard]] std::uint32_t launches() const { return launches_; }

  /// Whether the emulated operators hand their tensors to the kernels; off, they run as on a CPU.
  [[nodiscard]] bool in_use() const { return in_use_; }
  void set_in_use(bool in_use) { in_use_ = in_use; }

 private:
  struct Buffer {
    std::string name;
    std::uintptr_t begin;
    std::size_t size;  ///< from the first byte of the first row to the last of the last
    RowBytes rows;
    Role role;
    History history;
    std::uint64_t id;
    Traffic read, write;
  };
  // The k-th time that the lanes of a warp come by one line counts as one access of the warp.
  struct WarpAccess {
    Traffic* traffic;
    std::vector<std::uintptr_t> sectors;
  };

  /// Whether [offset, offset + size) lies in one of the buffer's rows.
  [[nodiscard]] static bool in_row(const Buffer& buffer, std::size_t offset, std::size_t size) {
    return buffer.rows.stride == 0 || offset % buffer.rows.stride + size <= buffer.rows.width;
  }
  [[nodiscard]] const Buffer& find(const std::string& name) const;
  Buffer& buffer_at(std::uintptr_t address, std::size_t size, const Moment& now,
                    const Where& where);
  void count(Buffer& buffer, bool write, std::uintptr_t address, std::size_t size,
             const Moment& now, const Where& where);

  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::map<std::pair<const char*, std::uint64_t>, std::uint64_t> sites_;
  std::unordered_map<std::uint64_t, std::uint64_t> visits_;
  std::unordered_map<std::uint64_t, WarpAccess> warp_accesses_;
  std::uint32_t launches_ = 0;
  bool in_use_ = true;
  std::uint64_t buffers_added_ = 0;
};

}  // namespace weft::simt
