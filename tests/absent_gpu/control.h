#pragma once

// What a test asks of the stand-in for a GPU (README.md): the preloaded library exports these, a
// program looks them up with dlsym and finds null where it runs without it.

#include <cstdint>

extern "C" {

/// Since the process began, or since the last weft_absent_gpu_reset. What a graph launches counts
/// each time it is launched; what is being recorded does not.
struct WeftAbsentGpuCounts {
  std::uint64_t launches;        ///< kernels, anyone's, besides the three below
  std::uint64_t own_launches;    ///< of these, weft's
  std::uint64_t products;        ///< matrix products of cuBLAS
  std::uint64_t attentions;      ///< executed plans of cuDNN
  std::uint64_t collectives;     ///< of NCCL
  std::uint64_t copies;          ///< between host and device, or within it
  std::uint64_t sets;            ///< memory set to a value
  std::uint64_t graph_launches;  ///< of graphs
  std::uint64_t host_waits;      ///< times that the host waited for the device
  std::uint64_t device_bytes;    ///< of device memory taken now
  std::uint64_t peak_bytes;      ///< the most of them at one time
  std::uint64_t faults;          ///< uses that a GPU would refuse, or that would corrupt its memory
};

void weft_absent_gpu_counts(WeftAbsentGpuCounts* counts);
/// Counts from zero again; the peak from what is taken now.
void weft_absent_gpu_reset();
/// The first fault's text since then; empty without one. Valid until the next fault.
const char* weft_absent_gpu_fault();
/// Kernels, products, … by name, most often first, "COUNT NAME" per line. Valid until the next
/// call.
const char* weft_absent_gpu_names();
}
