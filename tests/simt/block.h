#pragma once

#include <array>
#include <boost/context/fiber.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "tests/simt/device.h"
#include "tests/simt/host_stack.h"

namespace weft::simt {

inline constexpr int kWarpLanes = 32;
inline constexpr int kMaxThreads = 1024;
inline constexpr int kMaxSharedBytes = 227 * 1024;

/// What one lane brings to an operation that its whole warp takes part in.
struct WarpOperation {
  const char* name;
  int argument;         ///< the shuffle's mask or lane: must agree
  std::uint64_t value;  ///< the lane's own
  Where where;
};

/// One block of a kernel: its threads are fibers that run in turn until each waits or ends.
class Block {
 public:
  Block(std::int64_t index, std::int64_t blocks, int threads, int shared_bytes,
        std::uint32_t launch);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  /// Runs `body` in every thread. Throws the first Violation, after which no thread goes on.
  void run(const std::function<void()>& body);

  /// The block that the calling fiber belongs to.
  static Block& running();

  [[nodiscard]] int thread() const { return current_; }
  [[nodiscard]] int threads() const { return static_cast<int>(threads_.size()); }
  [[nodiscard]] std::int64_t index() const { return index_; }
  [[nodiscard]] std::int64_t blocks() const { return blocks_; }
  [[nodiscard]] Moment now() const;

  void sync_block(const Where& where);
  void sync_warp(const Where& where);
  /// What every lane of the warp brought, once all have.
  std::array<std::uint64_t, kWarpLanes> exchange(const WarpOperation& operation);

  /// The place of [offset, offset + size) in shared memory, noted as read or written.
  void* shared(std::int64_t offset, std::size_t size, bool write, const Where& where);

 private:
  enum class State { kReady, kAtBarrier, kInWarp, kDone };
  struct Thread {
    boost::context::fiber fiber;
    boost::context::stack_context stack{};
    void* fake_stack = nullptr;
    State state = State::kReady;
    WarpOperation operation{};  ///< what it waits for, a barrier or its warp
  };
  struct Warp {
    int arrived = 0;
    std::uint32_t phase = 0;
    std::array<std::uint64_t, kWarpLanes> values{};
  };

  void start(Thread& thread, const std::function<void()>& body);
  void wait(State state);
  void run_thread(const std::function<void()>& body);
  void resume(int index);
  void finish_warp_operation(int warp);
  void finish_barrier();
  [[noreturn]] void explain_deadlock() const;
  [[nodiscard]] std::string describe(int thread) const;

  std::int64_t index_;
  std::int64_t blocks_;
  std::uint32_t launch_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  int current_ = 0;
  int at_barrier_ = 0;
  std::uint32_t phase_ = 0;
  boost::context::fiber scheduler_;
  std::exception_ptr failure_;
  bool abandoned_ = false;  ///< threads that are resumed leave at once
  HostStack host_;
  std::unique_ptr<std::byte[]> shared_;
  std::int64_t shared_bytes_;
  History shared_history_;
};

/// Runs a kernel's blocks one after another.
void launch(const char* name, std::int64_t blocks, int threads, int shared_bytes,
            const std::function<void()>& body);

}  // namespace weft::simt
