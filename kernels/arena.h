#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace weft::kernels {

/// Temporary tensors by stack discipline: take() hands out the next bytes of a block, a Scope gives
/// back all that was taken since it was opened. After the first few micro-batches no memory is
/// allocated or returned any more, which on a CPU saves the page faults of fresh memory and makes
/// the peak a number that can be planned.
///
/// Contents are undefined. A tensor must not be used after its scope ends. One thread at a time.
class Arena {
 public:
  explicit Arena(c10::Device device) : device_(device), planned_(device.type()) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// A contiguous tensor of the arena's device, 64-byte aligned.
  [[nodiscard]] at::Tensor take(at::IntArrayRef sizes, at::ScalarType dtype);

  /// Gives back everything. Blocks that were added because the first was too small are merged into
  /// one.
  void reset();

  /// Makes room for `bytes` in one block, where they are known beforehand. Only while nothing is
  /// taken: contents are lost.
  void reserve(std::int64_t bytes);

  /// On the meta device, which has no memory, the arena only counts. This says for which device: on
  /// a CPU some operators need temporaries that a GPU does not.
  void plan_for(c10::DeviceType device) { planned_ = device; }
  [[nodiscard]] c10::DeviceType planned_for() const { return planned_; }

  /// Whether a reset keeps the memory where it is: the same takes give the same addresses again.
  [[nodiscard]] bool settled() const { return blocks_.size() <= 1; }

  /// Bytes of all blocks.
  [[nodiscard]] std::int64_t reserved_bytes() const;
  /// The most bytes that were in use at one time.
  [[nodiscard]] std::int64_t peak_bytes() const { return peak_; }

  /// Gives back, when it ends, what was taken since it began.
  class Scope {
   public:
    explicit Scope(Arena& arena)
        : arena_(arena), block_(arena.block_), offset_(arena.offset_), used_(arena.used_) {}
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() {
      arena_.block_ = block_;
      arena_.offset_ = offset_;
      arena_.used_ = used_;
    }

   private:
    Arena& arena_;
    std::size_t block_;
    std::int64_t offset_;
    std::int64_t used_;
  };

 private:
  void add_block(std::int64_t bytes);
  void replace_blocks(std::int64_t bytes);

  c10::Device device_;
  c10::DeviceType planned_;
  std::vector<at::Tensor> blocks_;
  std::size_t block_ = 0;    ///< the block being filled
  std::int64_t offset_ = 0;  ///< first free byte in it
  std::int64_t used_ = 0;
  std::int64_t peak_ = 0;
};

/// `rows` themselves where they have that dtype, else a contiguous copy in it. Operators that have
/// no kernel for a narrow type work on one.
[[nodiscard]] at::Tensor working_copy(const at::Tensor& rows, at::ScalarType dtype, Arena& scratch);

}  // namespace weft::kernels
