#include "tests/simt/block.h"

#include <algorithm>
#include <boost/context/preallocated.hpp>
#include <cstring>
#include <limits>

#include "tests/simt/stack_pool.h"

namespace weft::simt {
namespace {

Block* running_block = nullptr;

// Thrown in a thread that waits when its block is given up.
struct Abandoned {};

}  // namespace

Block::Block(std::int64_t index, std::int64_t blocks, int threads, int shared_bytes,
             std::uint32_t launch)
    : index_(index),
      blocks_(blocks),
      launch_(launch),
      threads_(static_cast<std::size_t>(threads)),
      warps_(static_cast<std::size_t>(threads / kWarpLanes)),
      shared_(std::make_unique<std::byte[]>(static_cast<std::size_t>(shared_bytes))),
      shared_bytes_(shared_bytes),
      shared_history_(static_cast<std::size_t>(shared_bytes)) {
  std::memset(shared_.get(), 0xff, static_cast<std::size_t>(shared_bytes));  // NaNs
}

Block& Block::running() { return *running_block; }

Moment Block::now() const {
  return {launch_,
          static_cast<std::int32_t>(index_),
          current_,
          phase_,
          warps_[static_cast<std::size_t>(current_ / kWarpLanes)].phase,
          false};
}

// Threads that still wait after a violation leave by an exception, so that their stacks unwind.
Block::~Block() {
  abandoned_ = true;
  for (int i = 0; i < threads(); ++i) {
    if (threads_[static_cast<std::size_t>(i)].fiber) {
      resume(i);
    }
  }
}

void Block::start(Thread& thread, const std::function<void()>& body) {
  thread.stack = StackPool().allocate();
  thread.fiber = boost::context::fiber(
      std::allocator_arg,
      boost::context::preallocated(thread.stack.sp, thread.stack.size, thread.stack), StackPool(),
      [this, &thread, &body](boost::context::fiber&& scheduler) {
        scheduler_ = std::move(scheduler);
        entered_fiber(nullptr, host_);
        if (!abandoned_) {
          run_thread(body);
        }
        thread.state = State::kDone;
        leaving_for_host(nullptr, host_);
        return std::move(scheduler_);
      });
}

void Block::run_thread(const std::function<void()>& body) {
  try {
    body();
  } catch (const Abandoned&) {
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void Block::resume(int index) {
  current_ = index;
  Thread& thread = threads_[static_cast<std::size_t>(index)];
  void* fake = nullptr;
  leaving_for_fiber(&fake, thread.stack);
  thread.fiber = std::move(thread.fiber).resume();
  back_on_host(fake);
}

void Block::wait(State state) {
  Thread& thread = threads_[static_cast<std::size_t>(current_)];
  thread.state = state;
  leaving_for_host(&thread.fake_stack, host_);
  scheduler_ = std::move(scheduler_).resume();
  entered_fiber(thread.fake_stack, host_);
  if (abandoned_) {
    throw Abandoned();
  }
}

void Block::run(const std::function<void()>& body) {
  running_block = this;
  for (Thread& thread : threads_) {
    start(thread, body);
  }
  for (;;) {
    bool moved = false;
    for (int i = 0; i < threads(); ++i) {
      if (threads_[static_cast<std::size_t>(i)].state == State::kReady) {
        resume(i);
        if (failure_) {
          std::rethrow_exception(failure_);
        }
        moved = true;
      }
    }
    if (!moved) {
      break;
    }
  }
  if (std::any_of(threads_.begin(), threads_.end(),
                  [](const Thread& thread) { return thread.state != State::kDone; })) {
    explain_deadlock();
  }
}

std::string Block::describe(int thread) const {
  const Thread& t = threads_[static_cast<std::size_t>(thread)];
  switch (t.state) {
    case State::kAtBarrier:
    case State::kInWarp:
      return fmt::format("thread {} waits in {} at {}", thread, t.operation.name,
                         text_of(t.operation.where));
    case State::kReady:
      return fmt::format("thread {} runs", thread);
    case State::kDone:
      break;
  }
  return fmt::format("thread {} has left", thread);
}

// Nobody can run: somebody waits for a thread that will never come.
void Block::explain_deadlock() const {
  for (int i = 0; i < threads(); ++i) {
    if (threads_[static_cast<std::size_t>(i)].state != State::kInWarp) {
      continue;
    }
    const int first = i / kWarpLanes * kWarpLanes;
    for (int lane = first; lane < first + kWarpLanes; ++lane) {
      if (threads_[static_cast<std::size_t>(lane)].state != State::kInWarp) {
        throw Violation(Rule::kWarp,
                        fmt::format("block {}: {}, but {}", index_, describe(i), describe(lane)));
      }
    }
  }
  const auto find = [&](bool waits) {
    int i = 0;
    while ((threads_[static_cast<std::size_t>(i)].state == State::kAtBarrier) != waits) {
      ++i;
    }
    return i;
  };
  throw Violation(Rule::kBarrier, fmt::format("block {}: {}, but {}", index_, describe(find(true)),
                                              describe(find(false))));
}

void Block::sync_block(const Where& where) {
  threads_[static_cast<std::size_t>(current_)].operation = {"a barrier of the block", 0, 0, where};
  if (++at_barrier_ < threads()) {
    wait(State::kAtBarrier);
    return;
  }
  threads_[static_cast<std::size_t>(current_)].state = State::kAtBarrier;
  finish_barrier();
}

void Block::finish_barrier() {
  const Where& where = threads_.front().operation.where;
  for (int i = 1; i < threads(); ++i) {
    const Where& other = threads_[static_cast<std::size_t>(i)].operation.where;
    if (other.line() != where.line() || other.file_name() != where.file_name()) {
      throw Violation(Rule::kBarrier,
                      fmt::format("block {}: {}, but {}", index_, describe(0), describe(i)));
    }
  }
  for (Thread& thread : threads_) {
    thread.state = State::kReady;
  }
  at_barrier_ = 0;
  ++phase_;
}

void Block::sync_warp(const Where& where) {
  exchange({"a barrier of the warp", 0, 0, where});
  ++warps_[static_cast<std::size_t>(current_ / kWarpLanes)].phase;
}

std::array<std::uint64_t, kWarpLanes> Block::exchange(const WarpOperation& operation) {
  const int index = current_ / kWarpLanes;
  Warp& warp = warps_[static_cast<std::size_t>(index)];
  threads_[static_cast<std::size_t>(current_)].operation = operation;
  if (++warp.arrived < kWarpLanes) {
    wait(State::kInWarp);
  } else {
    threads_[static_cast<std::size_t>(current_)].state = State::kInWarp;
    finish_warp_operation(index);
  }
  // The next operation cannot end, and change the values, before every lane has been here.
  return warp.values;
}

void Block::finish_warp_operation(int index) {
  Warp& warp = warps_[static_cast<std::size_t>(index)];
  const int first = index * kWarpLanes;
  const WarpOperation& wanted = threads_[static_cast<std::size_t>(first)].operation;
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    const WarpOperation& own = threads_[static_cast<std::size_t>(first + lane)].operation;
    if (std::strcmp(own.name, wanted.name) != 0 || own.argument != wanted.argument ||
        own.where.line() != wanted.where.line()) {
      throw Violation(Rule::kWarp, fmt::format("block {}: {}, but {}", index_, describe(first),
                                               describe(first + lane)));
    }
    warp.values[static_cast<std::size_t>(lane)] = own.value;
  }
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    threads_[static_cast<std::size_t>(first + lane)].state = State::kReady;
  }
  warp.arrived = 0;
}

void* Block::shared(std::int64_t offset, std::size_t size, bool write, const Where& where) {
  const auto fail = [&](Rule rule, const std::string& what) {
    throw Violation(
        rule, fmt::format("block {} thread {} at {}: {} bytes at byte {} of {} bytes "
                          "of shared memory{}",
                          index_, current_, text_of(where), size, offset, shared_bytes_, what));
  };
  if (offset < 0 || offset + static_cast<std::int64_t>(size) > shared_bytes_) {
    fail(Rule::kBounds, "");
  }
  const auto at = static_cast<std::size_t>(offset);
  if (at % size != 0) {
    fail(Rule::kAlignment, ", not aligned");
  }
  if (!write && !shared_history_.written(at, size)) {
    fail(Rule::kUninitialised, ", not written yet");
  }
  if (const auto other = shared_history_.note(at, size, write, now())) {
    fail(Rule::kRace, fmt::format(", unordered with an access of thread {}", other->thread));
  }
  return shared_.get() + at;
}

void launch(const char* name, std::int64_t blocks, int threads, int shared_bytes,
            const std::function<void()>& body) {
  if (blocks < 1 || blocks > std::numeric_limits<std::int32_t>::max() || threads < 1 ||
      threads > kMaxThreads || threads % kWarpLanes != 0 || shared_bytes < 0 ||
      shared_bytes > kMaxSharedBytes) {
    throw Violation(Rule::kLaunch, fmt::format("{}: {} blocks of {} threads, {} bytes of shared "
                                               "memory",
                                               name, blocks, threads, shared_bytes));
  }
  Device& device = Device::current();
  const std::uint32_t number = device.begin_launch();
  for (std::int64_t index = 0; index < blocks; ++index) {
    try {
      Block block(index, blocks, threads, shared_bytes, number);
      block.run(body);
    } catch (const Violation& violation) {
      device.end_block();
      throw Violation(violation.rule(), fmt::format("{}: {}", name, violation.what()));
    }
    device.end_block();
  }
}

}  // namespace weft::simt
