#include "cli/rank_session.h"

#include <ATen/Context.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdlib>

#include "base/log.h"
#include "trainer/device.h"

namespace weft::cli {
namespace {

// NCCL needs a GPU for each rank; ranks that share one go through the host's memory.
std::string backend_of(const trainer::RunConfig& config, const distributed::Launch& launch,
                       c10::Device device) {
  if (config.ddp_backend != "auto") {
    return config.ddp_backend;
  }
  const bool own_gpu =
      device.is_cuda() && static_cast<int>(at::getNumGPUs()) >= launch.local_world_size;
  return own_gpu ? "nccl" : "gloo";
}

}  // namespace

std::unique_ptr<distributed::Session> open_session(const trainer::RunConfig& config) {
  const distributed::Launch launch = distributed::read_launch();
  if (launch.world_size == 1) {
    return std::make_unique<distributed::Session>();
  }
  if (launch.rank != 0 && std::getenv("WEFT_LOG") == nullptr) {
    set_log_level(LogLevel::kWarning);
  }
  const c10::Device device = trainer::resolve_device(config.device, launch.local_rank);
  if (device.is_cuda()) {
    c10::impl::VirtualGuardImpl(device.type()).setDevice(device);  // where NCCL and kernels run
  }
  distributed::SessionOptions options;
  options.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(config.ddp_timeout * 1000));
  options.backend = backend_of(config, launch, device);
  options.device = device.str();
  return std::make_unique<distributed::Session>(launch, options);
}

}  // namespace weft::cli
