// A thread that makes one exchange at a time over a mesh of its own.

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "distributed/background_gather.h"
#include "distributed/gloo_mesh.h"
#include "distributed/process_group.h"

namespace weft::distributed {
namespace {

class GlooGather final : public BackgroundGather {
 public:
  GlooGather(KeyStore& store, const Launch& launch, const GatherMembers& members,
             std::chrono::milliseconds timeout)
      : members_(members),
        mesh_(store, {members.name, members.ranks, members.own, launch.world_size},
              address_towards(launch.master_address, launch.master_port), timeout),
        debug_(debugs_collectives()),
        thread_([this] { run(); }) {}
  GlooGather(const GlooGather&) = delete;
  GlooGather& operator=(const GlooGather&) = delete;

  ~GlooGather() override {
    bool busy = false;
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      busy = state_ == State::kRunning;
    }
    if (busy) {
      mesh_.abort();  // or the thread would wait for peers until its timeout
    }
    changed_.notify_all();
    thread_.join();
  }

  int rank() const override { return members_.own; }
  int size() const override { return members_.size(); }
  std::uint64_t bytes_sent() const override { return mesh_.bytes_sent(); }

  void start(const at::Tensor& mine, const at::Tensor& all, std::string what) override {
    begin(mine, all, mine.nbytes() * members_.ranks.size(), /*stride=*/0, std::move(what));
  }
  void start_exchange(const at::Tensor& blocks, const at::Tensor& received,
                      std::string what) override {
    begin(blocks, received, blocks.nbytes(), blocks.nbytes() / members_.ranks.size(),
          std::move(what));
  }
  void abort() override { mesh_.abort(); }

  void wait() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return state_ != State::kRunning; });
    if (error_) {
      std::rethrow_exception(error_);
    }
    state_ = State::kIdle;
    if (!all_.is_cpu()) {
      all_.copy_(host_);
    }
    mine_ = all_ = host_ = at::Tensor();
  }

 private:
  enum class State { kIdle, kRunning, kDone };

  // `stride`: from what one member is sent to what the next one is, in bytes; 0: all get the same.
  void begin(const at::Tensor& mine, const at::Tensor& all, std::size_t expected,
             std::size_t stride, std::string what) {
    const std::lock_guard lock(mutex_);
    if (state_ != State::kIdle || all.nbytes() != expected) {
      fail_internal("a gather of {} bytes into {} for {}, while another runs or of another size",
                    mine.nbytes(), all.nbytes(), what);
    }
    mine_ = mine.cpu();  // the tensor itself where it is on the host
    all_ = all;
    host_ = all.is_cpu() ? all : at::Tensor(mine_.new_empty(all.sizes()));
    stride_ = stride;
    what_ = std::move(what);
    state_ = State::kRunning;
    changed_.notify_all();
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return stop_ || state_ == State::kRunning; });
      if (stop_) {
        return;
      }
      lock.unlock();
      std::exception_ptr error;
      try {
        exchange();
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      error_ = error;
      state_ = State::kDone;
      changed_.notify_all();
    }
  }

  // Ranks that have come out of step would else take one layer for another.
  void compare_purposes() {
    using Purpose = std::array<char, 128>;
    Purpose mine{};
    std::copy_n(what_.data(), std::min(what_.size(), mine.size() - 1), mine.begin());
    std::vector<Purpose> all(members_.ranks.size(), mine);
    std::vector<Transfer> transfers;
    for (int peer = 0; peer < size(); ++peer) {
      if (peer != rank()) {
        transfers.push_back({peer, mine.data(), mine.size(),
                             all[static_cast<std::size_t>(peer)].data(), mine.size()});
      }
    }
    mesh_.exchange(transfers, what_);
    for (std::size_t peer = 0; peer < all.size(); ++peer) {
      if (all[peer] != mine) {
        fail_internal("the ranks are in different gathers: rank {} in one for {}; rank {} for {}",
                      members_.ranks[static_cast<std::size_t>(rank())], mine.data(),
                      members_.ranks[peer], all[peer].data());
      }
    }
  }

  void exchange() {
    if (debug_) {
      compare_purposes();
    }
    const std::size_t bytes = host_.nbytes() / members_.ranks.size();
    const auto* mine = static_cast<const std::byte*>(mine_.const_data_ptr());
    auto* all = static_cast<std::byte*>(host_.data_ptr());
    std::vector<Transfer> transfers;
    for (int peer = 0; peer < size(); ++peer) {
      std::byte* place = all + bytes * static_cast<std::size_t>(peer);
      const std::byte* sent = mine + stride_ * static_cast<std::size_t>(peer);
      if (peer == rank()) {
        std::memcpy(place, sent, bytes);
      } else {
        transfers.push_back({peer, sent, bytes, place, bytes});
      }
    }
    mesh_.exchange(transfers, what_);
  }

  GatherMembers members_;
  GlooMesh mesh_;
  std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::kIdle;
  bool stop_ = false;
  bool debug_ = false;
  std::exception_ptr error_;
  at::Tensor mine_;
  at::Tensor all_;
  at::Tensor host_;  ///< what the thread fills: `all_`, or its stand-in on the host
  std::size_t stride_ = 0;
  std::string what_;
  std::thread thread_;  ///< last: starts when all else is in place
};

}  // namespace

std::unique_ptr<BackgroundGather> make_gloo_gather(KeyStore& store, const Launch& launch,
                                                   const GatherMembers& members,
                                                   std::chrono::milliseconds timeout) {
  return std::make_unique<GlooGather>(store, launch, members, timeout);
}

}  // namespace weft::distributed
