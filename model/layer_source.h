#pragma once

#include <cstdint>
#include <memory>

#include "model/weights.h"

namespace weft::model {

/// What a pass asks its layers for: all in order, or all in order and then all in reverse.
enum class PassKind { kForward, kForwardBackward };

/// Lends a model the matrices of its layers where not all of them are in this process's memory.
/// Processes that share a base serve each other through it, so all of them announce the same passes
/// and make each of them, with or without work of their own. Used from one thread.
class LayerSource {
 public:
  virtual ~LayerSource() = default;

  /// So many passes of that kind follow. The ones announced before are over. Throws what a fetch
  /// throws, as the other calls do.
  virtual void begin(PassKind kind, std::int64_t passes) = 0;
  /// The next layer in the order of the announced passes; the reference and its tensors are valid
  /// until the next call.
  virtual const LayerWeights& layer(std::int64_t index) = 0;
  /// A pass without work, before its first layer is asked for.
  virtual void skip_pass() = 0;
  /// Makes the rest of the announced passes without work, whatever place an error has left them at.
  virtual void finish() = 0;
  /// Seconds that calls have waited for layers so far.
  [[nodiscard]] virtual double waited_seconds() const = 0;
};

}  // namespace weft::model
