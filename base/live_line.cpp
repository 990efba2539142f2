#include "base/live_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <mutex>

namespace weft {
namespace {

constexpr std::string_view kErase = "\r\x1b[K";

struct LiveLine {
  std::mutex mutex;
  std::string text;
};

LiveLine& live_line() {
  static LiveLine line;
  return line;
}

void write_error_stream(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

void show_live_line(std::string_view text) {
  LiveLine& line = live_line();
  const std::lock_guard lock(line.mutex);
  if (line.text.empty() && text.empty()) {
    return;
  }
  line.text = text;
  write_error_stream(std::string(kErase) + line.text);
}

void print_above_live_line(std::string_view text) {
  LiveLine& line = live_line();
  const std::lock_guard lock(line.mutex);
  if (line.text.empty()) {
    write_error_stream(text);
  } else {
    write_error_stream(std::string(kErase) + std::string(text) + line.text);
  }
}

int terminal_columns() {
  if (isatty(STDERR_FILENO) == 0) {
    return 0;
  }
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace weft
