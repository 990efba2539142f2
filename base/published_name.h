#pragma once

#include <string>
#include <string_view>

namespace weft {

/// Names for what is being written: `.NAME.tmp-OWNER` beside a file, `.tmp-NAME-OWNER` beside a
/// folder. OWNER is `HOST-PID-RUN-N`: a hash of the host's name, the process, a random number drawn
/// once per process (a container's process number is the same at every start) and a counter. A long
/// NAME is cut so that the result is a valid file name.
[[nodiscard]] std::string temporary_file_name(std::string_view name);
[[nodiscard]] std::string temporary_folder_name(std::string_view name);

/// Whether `name` was made by one of the above in a process of this host that no longer runs.
[[nodiscard]] bool is_stale_temporary(std::string_view name);

}  // namespace weft
