#include "kernels/recorded_work.h"

#if defined(WEFT_CUDA_KERNELS)
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <string>

#include "base/log.h"
#endif

namespace weft::kernels {

#if defined(WEFT_CUDA_KERNELS)

namespace {

class CudaGraph final : public RecordedWork {
 public:
  void replay() override { graph_.replay(); }
  [[nodiscard]] at::cuda::CUDAGraph& graph() { return graph_; }

 private:
  at::cuda::CUDAGraph graph_;
};

class CudaGraphRecorder final : public WorkRecorder {
 public:
  explicit CudaGraphRecorder(c10::Device device)
      : pool_(at::cuda::graph_pool_handle()),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}

  std::unique_ptr<RecordedWork> record(const std::function<void()>& body) override {
    auto recorded = std::make_unique<CudaGraph>();
    // CUDA records from any stream but the default one.
    at::cuda::CUDAEvent before;
    before.record();
    before.block(stream_);
    const c10::cuda::CUDAStreamGuard guard(stream_);
    bool ended = false;
    try {
      // Of this thread alone: a checkpoint may be copied to the host by another one meanwhile.
      recorded->graph().capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
      body();
      ended = true;
      recorded->graph().capture_end();
      return recorded;
    } catch (const c10::Error& error) {
      const std::string text = error.what_without_backtrace();
      log_warning("a CUDA graph can't be recorded: {}; its kernels are launched one by one",
                  text.substr(0, text.find('\n')));
    }
    if (!ended) {
      give_up(recorded->graph());
    }
    return nullptr;
  }

 private:
  // The stream must not stay in recording.
  static void give_up(at::cuda::CUDAGraph& graph) {
    try {
      graph.capture_end();
    } catch (const c10::Error&) {  // says again what has failed
    }
  }

  at::cuda::MempoolId_t pool_;
  c10::cuda::CUDAStream stream_;
};

}  // namespace

std::shared_ptr<WorkRecorder> make_work_recorder(c10::Device device) {
  return device.is_cuda() ? std::make_shared<CudaGraphRecorder>(device) : nullptr;
}

#else

std::shared_ptr<WorkRecorder> make_work_recorder(c10::Device) { return nullptr; }

#endif

}  // namespace weft::kernels
