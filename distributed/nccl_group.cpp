// The only file that sees NCCL; without CUDA it is a refusal.
#include "distributed/process_group.h"

#ifdef WEFT_NCCL
#include <c10/util/Exception.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif

#include "base/error.h"
#include "distributed/background_gather.h"

namespace weft::distributed {

#ifdef WEFT_NCCL
namespace {

// NCCL meets through the store that serves the run already.
c10::intrusive_ptr<c10d::Store> connect(const Launch& launch, const std::string& name,
                                        std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(launch.master_port);
  options.waitWorkers = false;
  options.timeout = timeout;
  return c10::make_intrusive<c10d::PrefixStore>(
      fmt::format("weft/{}/{}", launch.restart_count, name),
      c10::make_intrusive<c10d::TCPStore>(launch.master_address, options));
}

class NcclGroup final : public ProcessGroup {
 public:
  NcclGroup(KeyStore& store, const Launch& launch, std::chrono::milliseconds timeout)
      : host_(make_gloo_group(store, launch, timeout)), timeout_(timeout) {
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    nccl_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(connect(launch, "nccl", timeout),
                                                        launch.rank, launch.world_size, options);
  }
  ~NcclGroup() override { abort(); }
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  std::string_view backend() const override { return "nccl"; }
  std::uint64_t bytes_sent() const override { return host_->bytes_sent(); }

  void all_reduce(const at::Tensor& tensor, std::string_view what) override {
    if (tensor.device().is_cpu()) {
      host_->all_reduce(tensor, what);
      return;
    }
    std::vector<at::Tensor> tensors{tensor};
    wait([&] { return nccl_->allreduce(tensors); }, what);
  }

  void broadcast(const at::Tensor& tensor, int root, std::string_view what) override {
    if (tensor.device().is_cpu()) {
      host_->broadcast(tensor, root, what);
      return;
    }
    std::vector<at::Tensor> tensors{tensor};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    wait([&] { return nccl_->broadcast(tensors, options); }, what);
  }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                  std::string_view what) override {
    host_->all_gather(mine, all, what);
  }
  void barrier(std::string_view what) override { host_->barrier(what); }
  void abort() override {
    nccl_->abort();
    host_->abort();
  }

 private:
  template <typename Start>
  void wait(const Start& start, std::string_view what) {
    try {
      start()->wait(timeout_);
    } catch (const c10::Error& error) {
      const std::string text = error.what_without_backtrace();
      fail(ErrorKind::kPeer, "rank {} of {}: NCCL failed in {}: {}", rank(), size(), what,
           text.substr(0, text.find('\n')));
    }
  }

  std::unique_ptr<ProcessGroup> host_;
  std::chrono::milliseconds timeout_;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> nccl_;
};

// A communicator of its own, whose stream waits for the current one when a gather is begun.
class NcclGather final : public BackgroundGather {
 public:
  NcclGather(const Launch& launch, GatherMembers members, std::chrono::milliseconds timeout)
      : members_(std::move(members)) {
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    nccl_ = c10::make_intrusive<c10d::ProcessGroupNCCL>(
        connect(launch, "nccl/" + members_.name, timeout), members_.own, members_.size(), options);
  }
  ~NcclGather() override { nccl_->abort(); }
  NcclGather(const NcclGather&) = delete;
  NcclGather& operator=(const NcclGather&) = delete;

  int rank() const override { return members_.own; }
  int size() const override { return members_.size(); }
  std::uint64_t bytes_sent() const override { return 0; }

  void start(const at::Tensor& mine, const at::Tensor& all, std::string what) override {
    what_ = std::move(what);
    at::Tensor in = mine;
    at::Tensor out = all;
    checked([&] { work_ = nccl_->_allgather_base(out, in); });
  }
  void start_exchange(const at::Tensor& blocks, const at::Tensor& received,
                      std::string what) override {
    what_ = std::move(what);
    at::Tensor in = blocks;
    at::Tensor out = received;
    std::vector<std::int64_t> even;  // none: equal parts
    checked([&] { work_ = nccl_->alltoall_base(out, in, even, even); });
  }
  void abort() override { nccl_->abort(); }
  void wait() override {
    // Without a limit of its own, or the host would wait instead of the stream; NCCL has one.
    checked([&] { work_->wait(); });
  }

 private:
  template <typename Call>
  void checked(const Call& call) {
    try {
      call();
    } catch (const c10::Error& error) {
      const std::string text = error.what_without_backtrace();
      fail(ErrorKind::kPeer, "rank {}: NCCL failed in {}: {}",
           members_.ranks[static_cast<std::size_t>(members_.own)], what_,
           text.substr(0, text.find('\n')));
    }
  }

  GatherMembers members_;
  std::string what_;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> nccl_;
  c10::intrusive_ptr<c10d::Work> work_;
};

}  // namespace

std::unique_ptr<ProcessGroup> make_nccl_group(KeyStore& store, const Launch& launch,
                                              std::chrono::milliseconds timeout) {
  return std::make_unique<NcclGroup>(store, launch, timeout);
}

std::unique_ptr<BackgroundGather> make_nccl_gather(KeyStore&, const Launch& launch,
                                                   const GatherMembers& members,
                                                   std::chrono::milliseconds timeout) {
  return std::make_unique<NcclGather>(launch, members, timeout);
}
#else
namespace {

[[noreturn]] void refuse() {
  fail_config(
      "ddp_backend is nccl, but this weft was built without CUDA; use gloo, or build it with "
      "WEFT_CUDA=ON");
}

}  // namespace

std::unique_ptr<ProcessGroup> make_nccl_group(KeyStore&, const Launch&, std::chrono::milliseconds) {
  refuse();
}

std::unique_ptr<BackgroundGather> make_nccl_gather(KeyStore&, const Launch&, const GatherMembers&,
                                                   std::chrono::milliseconds) {
  refuse();
}
#endif

}  // namespace weft::distributed
