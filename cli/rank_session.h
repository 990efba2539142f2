#pragma once

#include <memory>

#include "distributed/session.h"
#include "trainer/run_config.h"

namespace weft::cli {

/// Meets the other ranks of this run, as the launcher's variables and ddp_timeout and ddp_backend
/// say; one rank where there is no launcher. Ranks other than 0 log warnings and errors only,
/// unless WEFT_LOG says otherwise.
[[nodiscard]] std::unique_ptr<distributed::Session> open_session(const trainer::RunConfig& config);

}  // namespace weft::cli
