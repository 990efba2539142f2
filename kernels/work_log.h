#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace weft::kernels {

/// What bounds an operator's speed.
enum class WorkKind { kProduct, kAttention, kMemory };

/// One call of an operator: what it has to do at least, whatever it runs on.
struct Work {
  const char* name;
  WorkKind kind;
  double flops;                ///< two to a multiply-add; 0 where memory is all that counts
  std::int64_t bytes_read;     ///< each input once
  std::int64_t bytes_written;  ///< each output once
  int launches;                ///< of kernels on a GPU
};

/// Collects the work of every operator that this thread calls while it lives. On the meta device
/// nothing is computed and the account is the same, so that a whole step can be counted without the
/// machine it would run on.
class WorkLog {
 public:
  WorkLog();
  ~WorkLog();
  WorkLog(const WorkLog&) = delete;
  WorkLog& operator=(const WorkLog&) = delete;

  [[nodiscard]] const std::vector<Work>& entries() const { return entries_; }

 private:
  friend void log_work(const char*, WorkKind, double, std::initializer_list<at::Tensor>,
                       std::initializer_list<at::Tensor>, int);
  WorkLog* outer_;
  std::vector<Work> entries_;
};

/// Adds a call to the innermost log, where there is one. A tensor that is both read and written is
/// in both lists; undefined ones count nothing.
void log_work(const char* name, WorkKind kind, double flops,
              std::initializer_list<at::Tensor> reads, std::initializer_list<at::Tensor> writes,
              int launches = 1);

/// The same for an operator that only moves memory.
inline void log_traffic(const char* name, std::initializer_list<at::Tensor> reads,
                        std::initializer_list<at::Tensor> writes, int launches = 1) {
  log_work(name, WorkKind::kMemory, 0.0, reads, writes, launches);
}

}  // namespace weft::kernels
