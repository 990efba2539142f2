#include "trainer/context_group.h"

#include <chrono>
#include <numeric>
#include <vector>

#include "base/error.h"

namespace weft::trainer {
namespace {

// The random stream of dropout masks; others (initialisation, data order) have theirs.
constexpr std::uint64_t kDropoutSeedSalt = 0x9e3779b97f4a7c15ULL;
// Between the seeds of two ranks of a group.
constexpr std::uint64_t kRankSalt = 0xd1b54a32d192ed03ULL;

}  // namespace

ContextPlace context_place(const RunConfig& config, const distributed::Session& session) {
  const std::int64_t ranks = config.context_parallel_size;
  if (session.size() % ranks != 0) {
    fail_config(
        "context_parallel_size: {} does not divide the {} rank{} of this run; start a multiple of "
        "it, or choose a divisor",
        ranks, session.size(), session.size() == 1 ? "" : "s");
  }
  return {session.rank() / ranks, session.size() / ranks, session.rank() % ranks, ranks};
}

std::uint64_t dropout_seed(const RunConfig& config, const ContextPlace& place) {
  return (static_cast<std::uint64_t>(config.seed) ^ kDropoutSeedSalt) +
         static_cast<std::uint64_t>(place.rank) * kRankSalt;
}

ContextGroup::ContextGroup(std::unique_ptr<distributed::BackgroundGather> gather,
                           std::function<std::string()> where)
    : gather_(std::move(gather)), where_(std::move(where)) {}

void ContextGroup::all_gather(const at::Tensor& mine, const at::Tensor& all, std::int64_t layer) {
  gather_->start(mine, all, fmt::format("{}, keys of layer {}", where_(), layer));
  wait();
}

void ContextGroup::all_to_all(const at::Tensor& blocks, const at::Tensor& received,
                              std::int64_t layer) {
  gather_->start_exchange(blocks, received,
                          fmt::format("{}, gradients of layer {}'s keys", where_(), layer));
  wait();
}

void ContextGroup::wait() {
  const auto began = std::chrono::steady_clock::now();
  gather_->wait();
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

std::shared_ptr<ContextGroup> open_context_group(const ContextPlace& place,
                                                 distributed::Session& session) {
  if (place.ranks == 1) {
    return nullptr;
  }
  std::vector<int> members(static_cast<std::size_t>(place.ranks));
  std::iota(members.begin(), members.end(), static_cast<int>(place.lane * place.ranks));
  return std::make_shared<ContextGroup>(session.open_gather(members, "context"),
                                        [&session] { return session.watchdog().where(); });
}

}  // namespace weft::trainer
