#pragma once

// Streams, events and what is recorded on them. Work is done when it is asked for, so that a stream
// keeps no queue: what remains of one is whether it is being recorded.

#include <cuda_runtime_api.h>

#include "tests/absent_gpu/device.h"

namespace weft::absent_gpu {

/// The recording that a stream's work goes to; null: none.
Recording* recording_of(cudaStream_t stream);

/// Whether this thread may call what waits for the device or takes memory, as cudaMalloc: not while
/// something is recorded, unless the thread's mode is relaxed. Else the recording is void, and the
/// error says so.
cudaError_t check_unsafe_call(const char* name);
/// Whether the host may wait for that stream now.
cudaError_t check_wait(cudaStream_t stream, const char* name);

/// Remembers an error for cudaGetLastError, and returns it.
cudaError_t failed(cudaError_t error);

}  // namespace weft::absent_gpu
