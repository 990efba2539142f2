// cudart: graphs, which are recordings (streams.cpp).

#include "tests/absent_gpu/streams.h"

using weft::absent_gpu::Device;
using weft::absent_gpu::Recording;

extern "C" {

// An executable graph is a copy of the recording, which may be destroyed before it.
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph,
                                          unsigned long long) {
  *exec = reinterpret_cast<cudaGraphExec_t>(new Recording(*reinterpret_cast<Recording*>(graph)));
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  const Recording& recording = *reinterpret_cast<Recording*>(exec);
  if (Recording* const outer = weft::absent_gpu::recording_of(stream); outer != nullptr) {
    outer->items.insert(outer->items.end(), recording.items.begin(), recording.items.end());
  } else {
    Device::get().launch(recording);
  }
  return cudaSuccess;
}
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t*, size_t* count) {
  *count = reinterpret_cast<Recording*>(graph)->items.size();
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<Recording*>(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete reinterpret_cast<Recording*>(exec);
  return cudaSuccess;
}
}
