// Collectives over GlooMesh. An all-reduce is a reduce-scatter and an all-gather, so that each rank
// sends 2 (W - 1) / W of the buffer, as a ring does, in two rounds, and every element is added in
// the order of the ranks: W ranks with one micro-batch each give the bits of one rank with W.

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "distributed/gloo_mesh.h"
#include "distributed/process_group.h"

namespace weft::distributed {
namespace {

std::byte* bytes_of(const at::Tensor& tensor) { return static_cast<std::byte*>(tensor.data_ptr()); }

// sums[i] = ((parts[0][i] + parts[1][i]) + parts[2][i]) + …; `sums` may be one of the parts.
template <typename T>
void add_in_order(const std::vector<const std::byte*>& parts, std::byte* sums, std::int64_t count) {
  constexpr std::int64_t kBlock = 2048;  // its partial sums stay in the first-level cache
  std::array<T, kBlock> block;
  T* out = reinterpret_cast<T*>(sums);
  for (std::int64_t begin = 0; begin < count; begin += kBlock) {
    const std::int64_t length = std::min(kBlock, count - begin);
    const T* first = reinterpret_cast<const T*>(parts[0]) + begin;
    std::copy(first, first + length, block.begin());
    for (std::size_t r = 1; r < parts.size(); ++r) {
      const T* part = reinterpret_cast<const T*>(parts[r]) + begin;
      for (std::int64_t i = 0; i < length; ++i) {
        block[static_cast<std::size_t>(i)] += part[i];
      }
    }
    std::copy(block.begin(), block.begin() + length, out + begin);
  }
}

using AddInOrder = void (*)(const std::vector<const std::byte*>&, std::byte*, std::int64_t);

AddInOrder adder_of(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return add_in_order<float>;
    case at::kDouble:
      return add_in_order<double>;
    case at::kLong:
      return add_in_order<std::int64_t>;
    default:
      fail_internal("all_reduce of {}; expected fp32, fp64 or int64", c10::toString(type));
  }
}

// What ranks compare when they debug: ranks in different calls would else wait for each other.
struct CallInfo {
  std::uint64_t number = 0;
  std::int64_t bytes = 0;
  std::array<char, 16> kind{};
  std::array<char, 48> what{};

  CallInfo() = default;
  CallInfo(std::uint64_t call, const char* name, std::int64_t size, std::string_view purpose)
      : number(call), bytes(size) {
    std::strncpy(kind.data(), name, kind.size() - 1);
    std::copy_n(purpose.data(), std::min(purpose.size(), what.size() - 1), what.begin());
  }
  [[nodiscard]] std::string text() const {
    return fmt::format("call {}, {} of {} bytes for {}", number, kind.data(), bytes, what.data());
  }
};

std::vector<int> all_ranks(int size) {
  std::vector<int> ranks(static_cast<std::size_t>(size));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

class GlooGroup final : public ProcessGroup {
 public:
  GlooGroup(KeyStore& store, const Launch& launch, std::chrono::milliseconds timeout)
      : rank_(launch.rank),
        size_(launch.world_size),
        mesh_(store, {"", all_ranks(size_), rank_, size_},
              address_towards(launch.master_address, launch.master_port), timeout) {
    debug_ = debugs_collectives();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string_view backend() const override { return "gloo"; }
  std::uint64_t bytes_sent() const override { return mesh_.bytes_sent(); }
  void abort() override { mesh_.abort(); }

  void all_reduce(const at::Tensor& tensor, std::string_view what) override {
    const AddInOrder add = adder_of(tensor.scalar_type());
    check_call("all-reduce", static_cast<std::int64_t>(tensor.nbytes()), what);
    const at::Tensor host = tensor.device().is_cpu() ? tensor : tensor.to(at::kCPU);
    reduce_scatter(host, add, what);
    gather_slices(host, what);
    if (!tensor.device().is_cpu()) {
      tensor.copy_(host);
    }
  }

  void broadcast(const at::Tensor& tensor, int root, std::string_view what) override {
    check_call("broadcast", static_cast<std::int64_t>(tensor.nbytes()), what);
    const at::Tensor host = tensor.device().is_cpu() ? tensor : tensor.to(at::kCPU);
    std::vector<Transfer> transfers;
    for (int peer = 0; peer < size_; ++peer) {
      if (rank_ == root && peer != root) {
        transfers.push_back({peer, bytes_of(host), host.nbytes(), nullptr, 0});
      } else if (rank_ != root && peer == root) {
        transfers.push_back({peer, nullptr, 0, bytes_of(host), host.nbytes()});
      }
    }
    mesh_.exchange(transfers, what);
    if (!tensor.device().is_cpu() && rank_ != root) {
      tensor.copy_(host);
    }
  }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                  std::string_view what) override {
    if (all.size() != mine.size() * static_cast<std::size_t>(size_)) {
      fail_internal("all_gather of {} bytes into {}", mine.size(), all.size());
    }
    check_call("all-gather", static_cast<std::int64_t>(mine.size()), what);
    gather(mine, all, what);
  }

  void barrier(std::string_view what) override {
    check_call("barrier", 0, what);
    const std::byte mine{1};
    std::vector<std::byte> all(static_cast<std::size_t>(size_));
    gather({&mine, 1}, all, what);
  }

 private:
  // Slices of a buffer of n elements, one a rank.
  [[nodiscard]] std::int64_t slice_begin(std::int64_t n, int rank) const {
    return n / size_ * rank + std::min<std::int64_t>(n % size_, rank);
  }

  void reduce_scatter(const at::Tensor& tensor, AddInOrder add, std::string_view what) {
    const std::int64_t n = tensor.numel();
    const auto item = static_cast<std::size_t>(tensor.element_size());
    const auto begin = [&](int rank) {
      return item * static_cast<std::size_t>(slice_begin(n, rank));
    };
    const std::size_t own = begin(rank_ + 1) - begin(rank_);
    scratch_.resize(own * static_cast<std::size_t>(size_ - 1));
    std::vector<Transfer> transfers;
    std::vector<const std::byte*> parts;
    std::byte* free = scratch_.data();
    for (int peer = 0; peer < size_; ++peer) {
      if (peer == rank_) {
        parts.push_back(bytes_of(tensor) + begin(rank_));
        continue;
      }
      parts.push_back(free);
      transfers.push_back(
          {peer, bytes_of(tensor) + begin(peer), begin(peer + 1) - begin(peer), free, own});
      free += own;
    }
    mesh_.exchange(transfers, what);
    add(parts, bytes_of(tensor) + begin(rank_), static_cast<std::int64_t>(own / item));
  }

  void gather_slices(const at::Tensor& tensor, std::string_view what) {
    const std::int64_t n = tensor.numel();
    const auto item = static_cast<std::size_t>(tensor.element_size());
    const auto begin = [&](int rank) {
      return item * static_cast<std::size_t>(slice_begin(n, rank));
    };
    std::vector<Transfer> transfers;
    for (int peer = 0; peer < size_; ++peer) {
      if (peer != rank_) {
        transfers.push_back({peer, bytes_of(tensor) + begin(rank_), begin(rank_ + 1) - begin(rank_),
                             bytes_of(tensor) + begin(peer), begin(peer + 1) - begin(peer)});
      }
    }
    mesh_.exchange(transfers, what);
  }

  void gather(std::span<const std::byte> mine, std::span<std::byte> all, std::string_view what) {
    std::vector<Transfer> transfers;
    for (int peer = 0; peer < size_; ++peer) {
      std::byte* place = all.data() + mine.size() * static_cast<std::size_t>(peer);
      if (peer == rank_) {
        std::copy(mine.begin(), mine.end(), place);
      } else {
        transfers.push_back({peer, mine.data(), mine.size(), place, mine.size()});
      }
    }
    mesh_.exchange(transfers, what);
  }

  void check_call(const char* kind, std::int64_t bytes, std::string_view what) {
    ++calls_;
    if (!debug_) {
      return;
    }
    const CallInfo mine(calls_, kind, bytes, what);
    std::vector<CallInfo> all(static_cast<std::size_t>(size_));
    gather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all)), what);
    for (std::size_t r = 0; r < all.size(); ++r) {
      if (std::memcmp(&all[r], &mine, sizeof mine) != 0) {
        fail_internal("the ranks are in different calls: rank {} in {}; rank {} in {}", rank_,
                      mine.text(), r, all[r].text());
      }
    }
  }

  int rank_;
  int size_;
  GlooMesh mesh_;
  std::vector<std::byte> scratch_;
  std::uint64_t calls_ = 0;
  bool debug_ = false;
};

class SingleGroup final : public ProcessGroup {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::string_view backend() const override { return "none"; }
  std::uint64_t bytes_sent() const override { return 0; }
  void abort() override {}
  void all_reduce(const at::Tensor&, std::string_view) override {}
  void broadcast(const at::Tensor&, int, std::string_view) override {}
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                  std::string_view) override {
    std::copy(mine.begin(), mine.end(), all.begin());
  }
  void barrier(std::string_view) override {}
};

}  // namespace

bool debugs_collectives() {
  const char* debug = std::getenv("WEFT_DEBUG_COLLECTIVES");
  return debug != nullptr && std::string_view(debug) == "1";
}

std::unique_ptr<ProcessGroup> make_single_group() { return std::make_unique<SingleGroup>(); }

std::unique_ptr<ProcessGroup> make_gloo_group(KeyStore& store, const Launch& launch,
                                              std::chrono::milliseconds timeout) {
  return std::make_unique<GlooGroup>(store, launch, timeout);
}

}  // namespace weft::distributed
