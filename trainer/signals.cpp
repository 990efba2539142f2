#include "trainer/signals.h"

#include <unistd.h>

#include <cstring>
#include <iterator>

namespace weft::trainer {

namespace {

volatile std::sig_atomic_t stop_signal = 0;

// Only async-signal-safe calls here.
extern "C" void on_stop_signal(int number) {
  if (stop_signal != 0) {
    std::signal(number, SIG_DFL);
    std::raise(number);
    return;
  }
  stop_signal = number;
  constexpr char text[] = "\nweft: stopping after this step; once more leaves at once\n";
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, text, sizeof text - 1);
}

}  // namespace

StopSignals::StopSignals() {
  stop_signal = 0;
  for (std::size_t i = 0; i < std::size(kSignals); ++i) {
    struct sigaction action = {};
    action.sa_handler = i < 2 ? on_stop_signal : SIG_IGN;
    // A save that a signal lands in must go on undisturbed.
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(kSignals[i], &action, &before_[i]);
  }
}

StopSignals::~StopSignals() {
  for (std::size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], &before_[i], nullptr);
  }
}

bool StopSignals::requested() { return stop_signal != 0; }

int StopSignals::number() { return stop_signal; }

}  // namespace weft::trainer
