#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace weft::model {

/// What the ranks of a context group, which share out the rows of a micro-batch, give each other in
/// its layers. All of them make the same calls in the same order, and keep to it: a rank that can't
/// go on calls abort(). Tensors are contiguous, of one type, on the group's device. A peer Error
/// where another rank is lost. Used from one thread.
class ContextExchange {
 public:
  virtual ~ContextExchange() = default;
  /// Ranks of the group.
  [[nodiscard]] virtual std::int64_t size() const = 0;
  /// Fills `all` [C, ...] with each rank's `mine` [...], in order.
  virtual void all_gather(const at::Tensor& mine, const at::Tensor& all, std::int64_t layer) = 0;
  /// Fills `received` [C, ...] with the block for this rank of each rank's `blocks` [C, ...].
  virtual void all_to_all(const at::Tensor& blocks, const at::Tensor& received,
                          std::int64_t layer) = 0;
  /// Breaks the connections, so that the others fail now instead of waiting.
  virtual void abort() = 0;
  /// Seconds that calls have waited for the other ranks so far.
  [[nodiscard]] virtual double waited_seconds() const = 0;
};

}  // namespace weft::model
