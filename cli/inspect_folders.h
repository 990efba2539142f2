#pragma once

#include "base/file_system.h"
#include "base/json.h"
#include "cli/inspect_options.h"

namespace weft::cli {

/// What a model's, an adapter's, a checkpoint's or a run's folder holds, as one object; what does
/// not fit together is in its list "problems".
[[nodiscard]] Json inspect_model(FileSystem& files, const fs::path& folder, bool verify);
[[nodiscard]] Json inspect_adapter(FileSystem& files, const fs::path& folder,
                                   const InspectOptions& options);
[[nodiscard]] Json inspect_checkpoint(FileSystem& files, const fs::path& folder,
                                      const InspectOptions& options);
[[nodiscard]] Json inspect_run(FileSystem& files, const fs::path& folder,
                               const InspectOptions& options);

}  // namespace weft::cli
