#include "cli/env_command.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <cstdio>
#include <string>

#include "base/error.h"
#include "data/reader_parquet.h"
#include "trainer/device.h"

namespace weft::cli {
namespace {

void env() {
  std::string gpu = "usable";
  try {
    (void)trainer::resolve_device("cuda");
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
