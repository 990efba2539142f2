#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "distributed/background_gather.h"
#include "distributed/session.h"
#include "model/context_exchange.h"
#include "trainer/run_config.h"

namespace weft::trainer {

/// Where a rank stands in a run whose ranks share out micro-batches in groups of neighbours
/// (context_parallel_size). A group is a lane: it reads the data and makes passes as one rank does
/// in a run without groups.
struct ContextPlace {
  std::int64_t lane = 0;
  std::int64_t lanes = 1;
  std::int64_t rank = 0;  ///< in the group
  std::int64_t ranks = 1;
};

/// A config Error where the groups don't come out even.
[[nodiscard]] ContextPlace context_place(const RunConfig& config,
                                         const distributed::Session& session);

/// What dropout masks are drawn from: ranks of a group have rows of the same numbers, and masks of
/// their own. Without groups it depends on the config alone.
[[nodiscard]] std::uint64_t dropout_seed(const RunConfig& config, const ContextPlace& place);

/// The exchange of a group over connections of its own.
class ContextGroup final : public model::ContextExchange {
 public:
  /// `where` says for errors how far the run is: "step 12, phase step".
  ContextGroup(std::unique_ptr<distributed::BackgroundGather> gather,
               std::function<std::string()> where);

  std::int64_t size() const override { return gather_->size(); }
  void all_gather(const at::Tensor& mine, const at::Tensor& all, std::int64_t layer) override;
  void all_to_all(const at::Tensor& blocks, const at::Tensor& received,
                  std::int64_t layer) override;
  void abort() override { gather_->abort(); }
  double waited_seconds() const override { return waited_; }
  /// Payload that this rank has sent, in bytes.
  [[nodiscard]] std::uint64_t bytes_sent() const { return gather_->bytes_sent(); }

 private:
  void wait();

  std::unique_ptr<distributed::BackgroundGather> gather_;
  std::function<std::string()> where_;
  double waited_ = 0;
};

/// Opens the exchange of this rank's group; all ranks call it. Null where each is a group of its
/// own.
[[nodiscard]] std::shared_ptr<ContextGroup> open_context_group(const ContextPlace& place,
                                                               distributed::Session& session);

}  // namespace weft::trainer
