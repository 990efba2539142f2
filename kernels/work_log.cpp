#include "kernels/work_log.h"

namespace weft::kernels {
namespace {

thread_local WorkLog* innermost = nullptr;

std::int64_t bytes_of(std::initializer_list<at::Tensor> tensors) {
  std::int64_t bytes = 0;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined()) {
      bytes += tensor.numel() * static_cast<std::int64_t>(tensor.element_size());
    }
  }
  return bytes;
}

}  // namespace

WorkLog::WorkLog() : outer_(innermost) { innermost = this; }

WorkLog::~WorkLog() { innermost = outer_; }

void log_work(const char* name, WorkKind kind, double flops,
              std::initializer_list<at::Tensor> reads, std::initializer_list<at::Tensor> writes,
              int launches) {
  if (innermost != nullptr) {
    innermost->entries_.push_back({name, kind, flops, bytes_of(reads), bytes_of(writes), launches});
  }
}

}  // namespace weft::kernels
