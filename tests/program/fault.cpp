// Linked into weft_faulty beside weft's own main: does what WEFT_FAULT says when a phase of a run
// begins. WEFT_FAULT is RANK:STEP:PHASE:ACTION, with * for any rank or step; WEFT_FAULT_START names
// the one start by a launcher that it applies to (0 for the first).

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "distributed/watchdog.h"

namespace weft::test {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void act(const std::string& action) {
  std::fprintf(stderr, "fault: %s\n", action.c_str());
  if (action == "kill") {
    ::raise(SIGKILL);
  } else if (action == "stop") {
    ::raise(SIGSTOP);
  } else if (action == "term") {
    ::raise(SIGTERM);
  } else if (action == "throw") {
    fail_data("injected: no space left on device");
  } else if (action == "loop") {
    while (true) {
      std::this_thread::sleep_for(std::chrono::seconds(1));
    }
  } else if (action.starts_with("sleep")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(action.substr(5))));
  }
}

struct Installed {
  Installed() {
    const std::string text = variable("WEFT_FAULT");
    const auto parts = split(text, ':');
    const std::string start = variable("TORCHELASTIC_RESTART_COUNT");
    const std::string only = variable("WEFT_FAULT_START");
    const bool now = only.empty() || only == (start.empty() ? "0" : start);
    if (parts.size() != 4 || !now) {
      return;
    }
    const std::vector<std::string> fault(parts.begin(), parts.end());
    if (fault[0] != "*" && fault[0] != variable("RANK")) {
      return;
    }
    distributed::set_phase_observer([fault](const std::string& phase, std::int64_t step) {
      if (phase == fault[2] && (fault[1] == "*" || fault[1] == std::to_string(step))) {
        act(fault[3]);
      }
    });
  }
};
const Installed installed;

}  // namespace
}  // namespace weft::test
