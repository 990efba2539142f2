// Finds the module that reads Parquet. It is loaded when the first Parquet file is opened: Arrow's
// library is 60 MB that nothing else needs, and a program without it still starts.
#include "data/reader_parquet.h"

#include <dlfcn.h>

#include <mutex>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "data/parquet_module.h"

namespace weft::data {

namespace {

struct Module {
  OpenParquetRows open = nullptr;
  std::string problem;
};

std::vector<fs::path> module_places() {
  std::vector<fs::path> places;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    places.push_back(program.parent_path() / "../lib" / kParquetModule);
    places.push_back(program.parent_path() / kParquetModule);
  }
#ifdef WEFT_PARQUET_FOLDER
  places.push_back(fs::path(WEFT_PARQUET_FOLDER) / kParquetModule);
#endif
  return places;
}

Module load_module() {
  Module module;
  for (const fs::path& place : module_places()) {
    if (!fs::exists(place)) {
      continue;
    }
    // Never closed: readers may live as long as the process.
    void* const library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    void* const symbol = library == nullptr ? nullptr : dlsym(library, kParquetSymbol);
    if (symbol != nullptr) {
      module.open = reinterpret_cast<OpenParquetRows>(symbol);
      return module;
    }
    module.problem = fmt::format("{} cannot be loaded: {}", place.string(), dlerror());
    return module;
  }
  module.problem = fmt::format(
      "{} is not beside this weft, which was built or moved without it; run WEFT_PARQUET=ON "
      "scripts/setup.sh and build again, or convert the file to JSON lines",
      kParquetModule);
  return module;
}

const Module& parquet_module() {
  static std::once_flag once;
  static Module module;
  std::call_once(once, [] { module = load_module(); });
  return module;
}

}  // namespace

std::string parquet_problem() { return parquet_module().problem; }

std::unique_ptr<RowReader> open_parquet_rows(FileSystem& files, const fs::path& path,
                                             std::uint64_t max_row_bytes) {
  const Module& module = parquet_module();
  if (module.open == nullptr) {
    fail_data("{}: {}", path.string(), module.problem);
  }
  return std::unique_ptr<RowReader>(module.open(files, path, max_row_bytes));
}

}  // namespace weft::data
