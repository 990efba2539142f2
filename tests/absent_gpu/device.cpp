#include "tests/absent_gpu/device.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace weft::absent_gpu {
namespace {

constexpr std::size_t kGib = std::size_t{1} << 30;
constexpr std::size_t kMemoryOfH200 = 139 * kGib;  // what a process finds free on one
constexpr std::size_t kPage = 4096;

std::size_t pages(std::size_t bytes) {
  return (std::max<std::size_t>(bytes, 1) + kPage - 1) / kPage * kPage;
}

// WEFT_ABSENT_GPU_GIB: memory of the device.
std::size_t capacity_from_environment() {
  const char* const text = std::getenv("WEFT_ABSENT_GPU_GIB");
  const double gib = text == nullptr ? 0 : std::atof(text);
  return gib > 0 ? static_cast<std::size_t>(gib * static_cast<double>(kGib)) : kMemoryOfH200;
}

}  // namespace

Device::Device() : capacity_(capacity_from_environment()) {
  std::atexit([] { get().write_report(); });
}

Device& Device::get() {
  static auto* const device = new Device;
  return *device;
}

void* Device::allocate(std::size_t bytes, bool on_device) {
  const std::lock_guard lock(mutex_);
  const std::size_t taken = pages(bytes);
  if (on_device && counts_.device_bytes + taken > capacity_) {
    return nullptr;
  }
  void* const data = mmap(nullptr, taken, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    return nullptr;
  }
  blocks_[static_cast<const char*>(data)] = {bytes, on_device};
  if (on_device) {
    counts_.device_bytes += taken;
    counts_.peak_bytes = std::max(counts_.peak_bytes, counts_.device_bytes);
  }
  return data;
}

bool Device::release(void* data) {
  const std::lock_guard lock(mutex_);
  const auto found = blocks_.find(static_cast<const char*>(data));
  if (found == blocks_.end()) {
    return false;
  }
  const std::size_t taken = pages(found->second.bytes);
  if (found->second.on_device) {
    counts_.device_bytes -= taken;
  }
  munmap(data, taken);
  blocks_.erase(found);
  return true;
}

Block Device::find(const void* data, std::size_t bytes, const void** begin) {
  const std::lock_guard lock(mutex_);
  const auto* const first = static_cast<const char*>(data);
  auto found = blocks_.upper_bound(first);
  if (found == blocks_.begin()) {
    return {0, false};
  }
  --found;
  if (first + bytes > found->first + found->second.bytes) {
    return {0, false};
  }
  if (begin != nullptr) {
    *begin = found->first;
  }
  return found->second;
}

std::size_t Device::free_bytes() {
  const std::lock_guard lock(mutex_);
  return capacity_ - counts_.device_bytes;
}

void Device::count(Work work, const std::string& name) {
  switch (work) {
    case Work::kLaunch:
      ++counts_.launches;
      counts_.own_launches += name.find("4weft7kernels") != std::string::npos ? 1 : 0;
      break;
    case Work::kProduct:
      ++counts_.products;
      break;
    case Work::kAttention:
      ++counts_.attentions;
      break;
    case Work::kCollective:
      ++counts_.collectives;
      break;
    case Work::kCopy:
      ++counts_.copies;
      break;
    case Work::kSet:
      ++counts_.sets;
      break;
  }
  ++names_[name];
}

void Device::work(Work work, const std::string& name, Recording* recording) {
  const std::lock_guard lock(mutex_);
  if (recording != nullptr) {
    recording->items.push_back({work, name});
  } else {
    count(work, name);
    is_busy_ = true;
  }
}

void Device::launch(const Recording& recording) {
  const std::lock_guard lock(mutex_);
  ++counts_.graph_launches;
  is_busy_ = true;
  for (const Recording::Item& item : recording.items) {
    count(item.work, item.name);
  }
}

void Device::host_waited() {
  const std::lock_guard lock(mutex_);
  counts_.host_waits += is_busy_ ? 1 : 0;
  is_busy_ = false;
}

bool Device::fault(const std::string& text) {
  const std::lock_guard lock(mutex_);
  std::fprintf(stderr, "absent GPU: %s\n", text.c_str());
  if (counts_.faults++ == 0) {
    fault_ = text;
  }
  return false;
}

void Device::counts(WeftAbsentGpuCounts* counts) {
  const std::lock_guard lock(mutex_);
  *counts = counts_;
}

void Device::reset() {
  const std::lock_guard lock(mutex_);
  const std::uint64_t taken = counts_.device_bytes;
  counts_ = {};
  counts_.device_bytes = taken;
  counts_.peak_bytes = taken;
  names_.clear();
  fault_.clear();
}

const char* Device::first_fault() {
  const std::lock_guard lock(mutex_);
  return fault_.c_str();
}

std::string Device::names() {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<std::uint64_t, std::string>> sorted;
  for (const auto& [name, count] : names_) {
    sorted.emplace_back(count, name);
  }
  std::sort(sorted.rbegin(), sorted.rend());
  std::string text;
  for (const auto& [count, name] : sorted) {
    text += std::to_string(count) + " " + name + "\n";
  }
  return text;
}

// WEFT_ABSENT_GPU_REPORT: a file to write, when the process ends, the counts and names to.
void Device::write_report() {
  const char* const path = std::getenv("WEFT_ABSENT_GPU_REPORT");
  if (path == nullptr) {
    return;
  }
  WeftAbsentGpuCounts c{};
  counts(&c);
  std::ofstream(path, std::ios::app)
      << "launches " << c.launches << " own " << c.own_launches << " products " << c.products
      << " attentions " << c.attentions << " collectives " << c.collectives << " copies "
      << c.copies << " sets " << c.sets << " graph_launches " << c.graph_launches << " host_waits "
      << c.host_waits << " peak_bytes " << c.peak_bytes << " faults " << c.faults << "\n"
      << names();
}

bool is_device_memory(const void* data, std::size_t bytes, const char* what) {
  const Block block = Device::get().find(data, bytes);
  if (block.bytes > 0 && block.on_device) {
    return true;
  }
  char text[200];
  std::snprintf(text, sizeof text, "%s: [%p, +%zu) is not in a block of device memory", what, data,
                bytes);
  return Device::get().fault(text);
}

}  // namespace weft::absent_gpu

extern "C" {
void weft_absent_gpu_counts(WeftAbsentGpuCounts* counts) {
  weft::absent_gpu::Device::get().counts(counts);
}
void weft_absent_gpu_reset() { weft::absent_gpu::Device::get().reset(); }
const char* weft_absent_gpu_names() {
  static auto* const text = new std::string;
  *text = weft::absent_gpu::Device::get().names();
  return text->c_str();
}
const char* weft_absent_gpu_fault() { return weft::absent_gpu::Device::get().first_fault(); }
}
