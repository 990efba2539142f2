#include "distributed/key_store.h"

#include <c10/util/Exception.h>
#include <c10/util/Flags.h>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>

#include "base/error.h"

C10_DECLARE_int(caffe2_log_level);

namespace weft::distributed {
namespace {

constexpr int kLogFatal = 3;

std::string first_line(const char* text) {
  const std::string all = text;
  return all.substr(0, all.find('\n'));
}

class TcpKeyStore final : public KeyStore {
 public:
  TcpKeyStore(c10::intrusive_ptr<c10d::TCPStore> store, std::string name, std::string prefix)
      : store_(std::move(store)), name_(std::move(name)), prefix_(std::move(prefix)) {}

  void set(const std::string& key, const std::string& value) override {
    guarded(
        [&] { store_->set(prefix_ + key, std::vector<std::uint8_t>(value.begin(), value.end())); });
  }
  bool has(const std::string& key) override {
    bool found = false;
    guarded([&] { found = store_->check({prefix_ + key}); });
    return found;
  }
  std::string get(const std::string& key) override {
    std::vector<std::uint8_t> bytes;
    guarded([&] { bytes = store_->get(prefix_ + key); });
    return {bytes.begin(), bytes.end()};
  }
  std::int64_t add(const std::string& key, std::int64_t value) override {
    std::int64_t result = 0;
    guarded([&] { result = store_->add(prefix_ + key, value); });
    return result;
  }
  std::string name() const override { return name_; }

 private:
  template <typename Call>
  void guarded(const Call& call) {
    try {
      call();
    } catch (const c10::Error& error) {
      fail(ErrorKind::kPeer, "the rendezvous at {} no longer answers: {}", name_,
           first_line(error.what_without_backtrace()));
    } catch (const std::exception& error) {
      fail(ErrorKind::kPeer, "the rendezvous at {} no longer answers: {}", name_,
           first_line(error.what()));
    }
  }

  c10::intrusive_ptr<c10d::TCPStore> store_;
  std::string name_;
  std::string prefix_;
};

using StorePointer = c10::intrusive_ptr<c10d::TCPStore>;

// TCPStore's constructor waits without end for the first answer of a program that takes the
// connection and is no TCPStore; so it runs on a thread that is left behind in that case.
StorePointer connect(const std::string& address, const c10d::TCPStoreOptions& options) {
  auto task = std::make_shared<std::packaged_task<StorePointer()>>(
      [address, options] { return c10::make_intrusive<c10d::TCPStore>(address, options); });
  std::future<StorePointer> result = task->get_future();
  std::thread([task] { (*task)(); }).detach();
  if (result.wait_for(options.timeout + std::chrono::milliseconds(500)) !=
      std::future_status::ready) {
    throw std::runtime_error("a program listens there and does not answer as a rendezvous does");
  }
  return result.get();
}

}  // namespace

std::unique_ptr<KeyStore> open_key_store(const Launch& launch, std::chrono::milliseconds timeout) {
  // What goes wrong is in the Errors here; LibTorch's own lines have stack traces in them.
  FLAGS_caffe2_log_level = kLogFatal;
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(launch.master_port);
  options.isServer = launch.rank == 0 && !launch.store_is_served;
  options.waitWorkers = false;  // the handshake waits, and names who is missing
  options.timeout = timeout;
  if (options.isServer) {
    options.masterListenFd = listen_on(launch.bind_address, launch.master_port);
  }
  const std::string name = fmt::format("{}:{}", launch.master_address, launch.master_port);
  try {
    return std::make_unique<TcpKeyStore>(connect(launch.master_address, options), name,
                                         fmt::format("weft/{}/", launch.restart_count));
  } catch (const std::exception& error) {
    fail(
        ErrorKind::kPeer,
        "rank {} of {} found no rendezvous at {} within {:.1f} s: {}. Is rank 0 running there, and "
        "is the port free of other programs and open in the firewall?",
        launch.rank, launch.world_size, name, static_cast<double>(timeout.count()) / 1000,
        first_line(error.what()));
  }
}

bool wait_for_keys(KeyStore& store, const std::vector<std::string>& keys,
                   std::chrono::milliseconds timeout, const std::function<void()>& meanwhile) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + timeout;
  auto pause = std::chrono::milliseconds(1);
  std::size_t next = 0;  // those before it have been seen
  while (true) {
    while (next < keys.size() && store.has(keys[next])) {
      ++next;
    }
    if (next == keys.size()) {
      return true;
    }
    if (meanwhile) {
      meanwhile();
    }
    if (Clock::now() >= deadline) {
      return false;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(100));
  }
}

}  // namespace weft::distributed
