#include "kernels/recorded_work.h"

#if defined(WEFT_CUDA_KERNELS)
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <exception>
#include <string>

#include "base/log.h"
#endif

namespace weft::kernels {

#if defined(WEFT_CUDA_KERNELS)

namespace {

// Of LibTorch's allocator. It ends with the last graph of it and can't be used again after that.
struct Pool {
  at::cuda::MempoolId_t id = at::cuda::graph_pool_handle();
};

class CudaGraph final : public RecordedWork {
 public:
  explicit CudaGraph(std::shared_ptr<Pool> pool) : pool_(std::move(pool)) {}
  void replay() override { graph_.replay(); }

  // Of this thread alone: a checkpoint may be copied to the host by another one meanwhile.
  void record(const std::function<void()>& body) {
    graph_.capture_begin(pool_->id, cudaStreamCaptureModeThreadLocal);
    recording_ = true;
    body();
    recording_ = false;
    graph_.capture_end();
  }

  // After an error: neither the stream nor the allocator may stay in recording. Each says again
  // what has failed, or that it is done already.
  void give_up(c10::Device device) {
    try {
      if (recording_) {
        graph_.capture_end();
      }
    } catch (const c10::Error&) {
    }
    try {
      c10::cuda::CUDACachingAllocator::endAllocateToPool(device.index(), pool_->id);
    } catch (const c10::Error&) {
    }
  }

 private:
  std::shared_ptr<Pool> pool_;
  bool recording_ = false;
  at::cuda::CUDAGraph graph_;
};

class CudaGraphRecorder final : public WorkRecorder {
 public:
  explicit CudaGraphRecorder(c10::Device device)
      : device_(device),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}

  std::unique_ptr<RecordedWork> record(const std::function<void()>& body) override {
    std::shared_ptr<Pool> pool = pool_.lock();
    if (pool == nullptr) {
      pool = std::make_shared<Pool>();
      pool_ = pool;
    }
    auto graph = std::make_unique<CudaGraph>(std::move(pool));
    // CUDA records from any stream but the default one.
    at::cuda::CUDAEvent before;
    before.record();
    before.block(stream_);
    const c10::cuda::CUDAStreamGuard guard(stream_);
    try {
      graph->record(body);
      return graph;
    } catch (const std::exception& error) {
      const std::string text = error.what();
      log_warning("a CUDA graph can't be recorded: {}; kernels are launched one by one",
                  text.substr(0, text.find('\n')));
    }
    graph->give_up(device_);
    return nullptr;
  }

 private:
  c10::Device device_;
  c10::cuda::CUDAStream stream_;
  std::weak_ptr<Pool> pool_;
};

}  // namespace

std::shared_ptr<WorkRecorder> make_work_recorder(c10::Device device) {
  return device.is_cuda() ? std::make_shared<CudaGraphRecorder>(device) : nullptr;
}

#else

std::shared_ptr<WorkRecorder> make_work_recorder(c10::Device) { return nullptr; }

#endif

}  // namespace weft::kernels
