// cudart: streams, events, recordings (CUDA graphs).

#include "tests/absent_gpu/streams.h"

#include <memory>
#include <unordered_map>

using weft::absent_gpu::Device;
using weft::absent_gpu::failed;
using weft::absent_gpu::Recording;

namespace {

struct Capture {
  cudaStream_t origin;
  cudaStreamCaptureMode mode;
  const void* thread;
  unsigned long long id;
  std::shared_ptr<Recording> recording = std::make_shared<Recording>();
  std::set<cudaStream_t> streams;   // that record into it
  std::set<cudaStream_t> unjoined;  // of these, not waited for by the origin yet
  bool is_void = false;
};

struct Event {
  std::shared_ptr<Capture> capture;  // it was recorded in; null: none
  cudaStream_t stream = nullptr;
  bool recorded = false;
  bool timed = true;
};

struct State {
  std::mutex mutex;
  std::unordered_map<cudaStream_t, std::shared_ptr<Capture>> capturing;
  std::set<cudaStream_t> streams;
  std::set<Event*> events;
  std::uintptr_t next_stream = 0x1000;
  unsigned long long captures = 0;
};

State& state() {
  static auto* const state = new State;
  return *state;
}

thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;
thread_local cudaError_t last_error = cudaSuccess;

const void* this_thread() { return &thread_mode; }

std::shared_ptr<Capture> capture_of(cudaStream_t stream) {
  const auto found = state().capturing.find(stream);
  return found == state().capturing.end() ? nullptr : found->second;
}

// The legacy stream and the two that have fixed handles are always there.
bool is_stream(cudaStream_t stream) {
  return reinterpret_cast<std::uintptr_t>(stream) <= 2 || state().streams.count(stream) > 0;
}

cudaError_t unknown(const char* what) {
  Device::get().fault(std::string(what) + " that was not made, or is destroyed already");
  return failed(cudaErrorInvalidResourceHandle);
}

Event* event_of(cudaEvent_t event) {
  auto* const found = reinterpret_cast<Event*>(event);
  return state().events.count(found) > 0 ? found : nullptr;
}

}  // namespace

namespace weft::absent_gpu {

cudaError_t failed(cudaError_t error) {
  last_error = error;
  return error;
}

Recording* recording_of(cudaStream_t stream) {
  const std::lock_guard lock(state().mutex);
  const auto capture = capture_of(stream);
  return capture == nullptr ? nullptr : capture->recording.get();
}

cudaError_t check_unsafe_call(const char* name) {
  const std::lock_guard lock(state().mutex);
  if (thread_mode == cudaStreamCaptureModeRelaxed) {
    return cudaSuccess;
  }
  for (const auto& [stream, capture] : state().capturing) {
    const bool mine = capture->thread == this_thread();
    if (capture->mode == cudaStreamCaptureModeRelaxed ||
        (capture->mode == cudaStreamCaptureModeThreadLocal && !mine)) {
      continue;
    }
    capture->is_void = true;
    Device::get().fault(std::string(name) + " while work is recorded");
    return failed(cudaErrorStreamCaptureUnsupported);
  }
  return cudaSuccess;
}

cudaError_t check_wait(cudaStream_t stream, const char* name) {
  {
    const std::lock_guard lock(state().mutex);
    if (!is_stream(stream)) {
      return unknown("a wait for a stream");
    }
    if (const auto capture = capture_of(stream); capture != nullptr) {
      capture->is_void = true;
      Device::get().fault(std::string(name) + " on a stream that is recorded");
      return failed(cudaErrorStreamCaptureUnsupported);
    }
  }
  return check_unsafe_call(name);
}

}  // namespace weft::absent_gpu

namespace weft::absent_gpu {

int not_there(const char* name) {
  Device::get().fault(std::string(name) + " is not there");
  return failed(cudaErrorNotSupported);
}

}  // namespace weft::absent_gpu

extern "C" {

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated:
      return "cudaErrorStreamCaptureInvalidated";
    default:
      return "an error of the absent GPU";
  }
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : cudaGetErrorName(error);
}
cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}
cudaError_t cudaPeekAtLastError() { return last_error; }

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  const std::lock_guard lock(state().mutex);
  *stream = reinterpret_cast<cudaStream_t>(state().next_stream += 16);
  state().streams.insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithPriority(stream, 0, 0);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard lock(state().mutex);
  return state().streams.erase(stream) > 0 ? cudaSuccess : unknown("a stream");
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return weft::absent_gpu::check_wait(stream, "cudaStreamQuery");
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const cudaError_t error = weft::absent_gpu::check_wait(stream, "cudaStreamSynchronize");
  Device::get().host_waited();
  return error;
}
cudaError_t cudaDeviceSynchronize() {
  const cudaError_t error = weft::absent_gpu::check_unsafe_call("cudaDeviceSynchronize");
  Device::get().host_waited();
  return error;
}
cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t callback, void* data,
                                  unsigned) {
  callback(stream, cudaSuccess, data);
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t function, void* data) {
  function(data);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  const std::lock_guard lock(state().mutex);
  auto* const made = new Event;
  made->timed = (flags & cudaEventDisableTiming) == 0;
  state().events.insert(made);
  *event = reinterpret_cast<cudaEvent_t>(made);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::lock_guard lock(state().mutex);
  Event* const found = event_of(event);
  if (found == nullptr) {
    return unknown("an event");
  }
  state().events.erase(found);
  delete found;
  return cudaSuccess;
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned) {
  const std::lock_guard lock(state().mutex);
  Event* const found = event_of(event);
  if (found == nullptr || !is_stream(stream)) {
    return unknown("an event or a stream");
  }
  found->capture = capture_of(stream);
  found->stream = stream;
  found->recorded = true;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, 0);
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  {
    const std::lock_guard lock(state().mutex);
    const Event* const found = event_of(event);
    if (found == nullptr) {
      return unknown("an event");
    }
    if (found->capture != nullptr) {
      Device::get().fault("cudaEventQuery of an event that was recorded into a graph");
      return failed(cudaErrorCapturedEvent);
    }
  }
  return weft::absent_gpu::check_unsafe_call("cudaEventQuery");
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const cudaError_t error = cudaEventQuery(event);
  Device::get().host_waited();
  return error;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t begin, cudaEvent_t end) {
  const std::lock_guard lock(state().mutex);
  const Event* const first = event_of(begin);
  const Event* const last = event_of(end);
  if (first == nullptr || last == nullptr || !first->recorded || !last->recorded || !first->timed ||
      !last->timed) {
    return unknown("a timed event");
  }
  *ms = 1;
  return cudaSuccess;
}

// A stream that waits for an event of a recording records into it from then on.
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const std::lock_guard lock(state().mutex);
  const Event* const found = event_of(event);
  if (found == nullptr || !is_stream(stream)) {
    return unknown("an event or a stream");
  }
  const auto capture = capture_of(stream);
  if (found->capture == nullptr) {
    if (capture != nullptr && found->recorded) {
      capture->is_void = true;
      Device::get().fault("a stream that is recorded waits for work outside of the recording");
      return failed(cudaErrorStreamCaptureIsolation);
    }
    return cudaSuccess;
  }
  if (stream == found->capture->origin) {
    found->capture->unjoined.erase(found->stream);
  } else if (state().capturing.count(found->capture->origin) > 0) {
    state().capturing[stream] = found->capture;
    found->capture->streams.insert(stream);
    found->capture->unjoined.insert(stream);
  }
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, thread_mode);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const std::lock_guard lock(state().mutex);
  if (stream == nullptr || capture_of(stream) != nullptr || !is_stream(stream)) {
    Device::get().fault("the default stream, or one that is recorded already, can't be recorded");
    return failed(cudaErrorStreamCaptureUnsupported);
  }
  auto capture = std::make_shared<Capture>();
  capture->origin = stream;
  capture->mode = mode;
  capture->thread = this_thread();
  capture->id = ++state().captures;
  capture->streams.insert(stream);
  state().capturing[stream] = std::move(capture);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  const std::lock_guard lock(state().mutex);
  *graph = nullptr;
  const auto capture = capture_of(stream);
  if (capture == nullptr || capture->origin != stream) {
    Device::get().fault("the end of a recording on a stream that began none");
    return failed(cudaErrorIllegalState);
  }
  for (const cudaStream_t recorded : capture->streams) {
    state().capturing.erase(recorded);
  }
  if (capture->is_void) {
    return failed(cudaErrorStreamCaptureInvalidated);
  }
  if (!capture->unjoined.empty()) {
    Device::get().fault("a recording ends while another stream's part is not waited for");
    return failed(cudaErrorStreamCaptureUnjoined);
  }
  if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != this_thread()) {
    Device::get().fault("another thread ends a recording");
    return failed(cudaErrorStreamCaptureWrongThread);
  }
  *graph = reinterpret_cast<cudaGraph_t>(new Recording(*capture->recording));
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const std::lock_guard lock(state().mutex);
  const auto capture = capture_of(stream);
  *status = capture == nullptr ? cudaStreamCaptureStatusNone
            : capture->is_void ? cudaStreamCaptureStatusInvalidated
                               : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* id, cudaGraph_t* graph,
                                     const cudaGraphNode_t** dependencies,
                                     const cudaGraphEdgeData** edges, size_t* count) {
  (void)cudaStreamIsCapturing(stream, status);
  const std::lock_guard lock(state().mutex);
  const auto capture = capture_of(stream);
  if (id != nullptr) {
    *id = capture == nullptr ? 0 : capture->id;
  }
  if (graph != nullptr) {
    *graph = capture == nullptr ? nullptr : reinterpret_cast<cudaGraph_t>(capture->recording.get());
  }
  if (dependencies != nullptr) {
    *dependencies = nullptr;
  }
  if (edges != nullptr) {
    *edges = nullptr;
  }
  if (count != nullptr) {
    *count = 0;
  }
  return cudaSuccess;
}
}
