#include "base/error.h"
#include "kernels/cuda/launch_types.h"

namespace weft::kernels::cuda {

void fail_launch(const char* kernel, const char* reason) {
  fail_internal("the CUDA kernel {} could not be launched: {}", kernel, reason);
}

}  // namespace weft::kernels::cuda
