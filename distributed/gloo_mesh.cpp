#include "distributed/gloo_mesh.h"

#include <dlfcn.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/store.h>
#include <gloo/transport/tcp/device.h>
#include <gloo/transport/unbound_buffer.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace weft::distributed {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Gloo's rendezvous over ours.
class StoreAdapter final : public gloo::rendezvous::Store {
 public:
  StoreAdapter(KeyStore& store, const std::string& mesh, milliseconds timeout)
      : store_(store),
        prefix_(mesh.empty() ? "gloo/" : fmt::format("gloo/{}/", mesh)),
        timeout_(timeout) {}

  void set(const std::string& key, const std::vector<char>& data) override {
    store_.set(prefix_ + key, std::string(data.begin(), data.end()));
  }
  std::vector<char> get(const std::string& key) override {
    wait({key}, timeout_);
    const std::string value = store_.get(prefix_ + key);
    return {value.begin(), value.end()};
  }
  void wait(const std::vector<std::string>& keys) override { wait(keys, timeout_); }
  void wait(const std::vector<std::string>& keys, const milliseconds& timeout) override {
    std::vector<std::string> ours;
    ours.reserve(keys.size());
    for (const std::string& key : keys) {
      ours.push_back(prefix_ + key);
    }
    if (!wait_for_keys(store_, ours, timeout)) {
      fail(ErrorKind::kPeer, "rank {} has not said within {:.1f} s how it is reached",
           keys.empty() ? "" : keys[0], static_cast<double>(timeout.count()) / 1000);
    }
  }

 private:
  KeyStore& store_;
  std::string prefix_;
  milliseconds timeout_;
};

// Rounded up: a wait that ended before the deadline would be taken for a lost rank.
milliseconds left_until(Clock::time_point deadline) {
  return std::max(std::chrono::ceil<milliseconds>(deadline - Clock::now()), milliseconds(1));
}

}  // namespace

struct GlooMesh::Gloo {
  std::shared_ptr<gloo::transport::Device> device;
  std::unique_ptr<gloo::rendezvous::Context> context;
};

GlooMesh::GlooMesh(KeyStore& store, MeshMembers members, const std::string& address,
                   milliseconds timeout)
    : gloo_(std::make_unique<Gloo>()), members_(std::move(members)), timeout_(timeout) {
  try {
    gloo_->device = gloo::transport::tcp::CreateDevice(gloo::transport::tcp::attr(address.c_str()));
    gloo_->context = std::make_unique<gloo::rendezvous::Context>(
        members_.own, static_cast<int>(members_.ranks.size()));
    gloo_->context->setTimeout(timeout);
    StoreAdapter adapter(store, members_.name, timeout);
    gloo_->context->connectFullMesh(adapter, gloo_->device);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail(ErrorKind::kPeer,
         "rank {} of {} can't connect to the other ranks from {}: {}. Do the hosts reach each "
         "other on all ports?",
         number(members_.own), members_.world, address, error.what());
  }
}

GlooMesh::~GlooMesh() = default;

void GlooMesh::exchange(std::span<const Transfer> transfers, std::string_view what) {
  const auto deadline = Clock::now() + timeout_;
  const std::uint64_t slot = ++slot_;
  std::vector<std::unique_ptr<gloo::transport::UnboundBuffer>> receives(transfers.size());
  std::vector<std::unique_ptr<gloo::transport::UnboundBuffer>> sends(transfers.size());
  int peer = 0;
  try {
    for (std::size_t i = 0; i < transfers.size(); ++i) {
      const Transfer& t = transfers[i];
      peer = t.peer;
      if (t.receive_bytes > 0) {
        receives[i] = gloo_->context->createUnboundBuffer(t.receive, t.receive_bytes);
        receives[i]->recv(t.peer, slot);
      }
      if (t.send_bytes > 0) {
        // Gloo takes a writable pointer for both directions and only reads here.
        sends[i] = gloo_->context->createUnboundBuffer(const_cast<void*>(t.send), t.send_bytes);
        sends[i]->send(t.peer, slot);
        bytes_sent_ += t.send_bytes;
      }
    }
    for (std::size_t i = 0; i < transfers.size(); ++i) {
      peer = transfers[i].peer;
      if (receives[i] != nullptr) {
        receives[i]->waitRecv(left_until(deadline));
      }
      if (sends[i] != nullptr) {
        sends[i]->waitSend(left_until(deadline));
      }
    }
  } catch (const std::exception& error) {
    if (Clock::now() >= deadline) {
      fail(ErrorKind::kPeer,
           "rank {} of {}: rank {} has been silent for {:.1f} s (ddp_timeout) in {}; it hangs, is "
           "stopped, or the network is cut",
           number(members_.own), members_.world, number(peer),
           static_cast<double>(timeout_.count()) / 1000, what);
    }
    const std::string text = error.what();
    fail(ErrorKind::kPeer, "rank {} of {} lost rank {} in {}: {}", number(members_.own),
         members_.world, number(peer), what, text.substr(0, text.find('\n')));
  }
}

void GlooMesh::abort() { gloo_->context->closeConnections(); }

std::string GlooMesh::library() {
  Dl_info info{};
  const auto function =
      static_cast<std::shared_ptr<gloo::transport::Device> (*)(const gloo::transport::tcp::attr&)>(
          &gloo::transport::tcp::CreateDevice);
  return ::dladdr(reinterpret_cast<void*>(function), &info) != 0 ? info.dli_fname : "";
}

}  // namespace weft::distributed
