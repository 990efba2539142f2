#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace weft::kernels {

/// Work on a device that was recorded once and is launched again as a whole. It always uses the
/// addresses, sizes and numbers that it was recorded with: what differs from one launch to the next
/// must lie in the tensors' contents.
class RecordedWork {
 public:
  virtual ~RecordedWork() = default;
  /// Launches it on the current stream.
  virtual void replay() = 0;
};

class WorkRecorder {
 public:
  virtual ~WorkRecorder() = default;
  /// What `body` launches, without running it. The same work must have run before, so that nothing
  /// is loaded or chosen meanwhile; `body` must not read from the device. Null, after a warning,
  /// where the device refuses it.
  [[nodiscard]] virtual std::unique_ptr<RecordedWork> record(const std::function<void()>& body) = 0;
};

/// CUDA graphs on that device; temporaries that LibTorch takes while recording come from a pool
/// that they share, so that two recordings must not be launched at one time. Null for another kind
/// of device, or in a build without CUDA.
[[nodiscard]] std::shared_ptr<WorkRecorder> make_work_recorder(c10::Device device);

}  // namespace weft::kernels
