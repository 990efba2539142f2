#pragma once

#include <cstddef>
#include <vector>

namespace weft::gpu {

/// Copies of host buffers in a GPU's memory, for one launch. Errors of the CUDA runtime are thrown
/// as std::runtime_error.
class BorrowedMemory {
 public:
  static BorrowedMemory& current();

  /// Device memory for the host's [data, data + bytes). It holds the same bytes where the kernel
  /// reads them, and NaNs where it only writes. A buffer that is borrowed twice is one.
  void* borrow(void* data, std::size_t bytes, bool reads, bool writes);
  /// Waits for the GPU, copies what kernels may have written to the host, and frees everything.
  void give_back();

 private:
  struct Buffer {
    void* host;
    void* device;
    std::size_t bytes;
    bool writes;
  };
  std::vector<Buffer> buffers_;
};

/// "" where a GPU can be used, else why not.
[[nodiscard]] const char* why_no_gpu();

}  // namespace weft::gpu
