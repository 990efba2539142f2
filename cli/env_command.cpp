#include "cli/env_command.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <cstdio>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "cli/common.h"
#include "data/reader_parquet.h"
#include "kernels/device_properties.h"
#include "trainer/device.h"

namespace weft::cli {
namespace {

// Of all that this process sees.
std::string gpus(c10::Device first) {
  std::string list;
  for (int i = 0; i < trainer::device_count(); ++i) {
    const c10::Device device(first.type(), static_cast<c10::DeviceIndex>(i));
    const int capability = kernels::compute_capability(device);
    list += fmt::format("{}{}, compute capability {}.{}", i == 0 ? ": " : "\n          ",
                        kernels::device_name(device), capability / 10, capability % 10);
    try {
      const std::int64_t free = kernels::free_device_bytes(device);
      list += fmt::format(", {} free", human_bytes(static_cast<std::uint64_t>(free)));
    } catch (const std::exception& error) {  // full, or another process has it alone
      list += ", " + first_line(error);
    }
  }
  return list;
}

void env() {
  std::string gpu = "usable";
  try {
    const c10::Device device = trainer::resolve_device("cuda");
    gpu += gpus(device);
  } catch (const Error& error) {
    gpu = error.what();
  }
  const std::string problem = data::parquet_problem();
  std::printf("weft      %s\nthreads   %d\nGPU       %s\nParquet   %s\n\n%s\n", WEFT_VERSION,
              at::get_num_threads(), gpu.c_str(), problem.empty() ? "readable" : problem.c_str(),
              at::show_config().c_str());
}

}  // namespace

void add_env_command(CLI::App& app) {
  app.add_subcommand("env", "Versions, devices, what is usable and why not")->callback([] {
    env();
  });
}

}  // namespace weft::cli
