#include "base/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/live_line.h"
#include "base/text.h"

namespace weft {
namespace {

constexpr auto kRedrawInterval = std::chrono::milliseconds(100);

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// `text` cut to `columns` code points: a line that wraps could not be erased.
std::string fitted(std::string_view text, std::size_t columns) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
    if (begins && count++ == columns) {
      return std::string(text.substr(0, at));
    }
  }
  return std::string(text);
}

}  // namespace

ProgressLine::ProgressLine(std::string_view label, std::uint64_t total, std::string_view unit)
    : label_(label),
      unit_(unit),
      total_(total),
      started_(std::chrono::steady_clock::now()),
      drawn_(started_ - kRedrawInterval),
      visible_(terminal_columns() > 0) {}

ProgressLine::~ProgressLine() { finish(); }

void ProgressLine::start_from(std::uint64_t done) {
  first_ = done;
  done_ = done;
  started_ = std::chrono::steady_clock::now();
}

void ProgressLine::update(std::uint64_t done, std::string_view note) {
  done_ = done;
  if (!visible_) {
    return;
  }
  note_ = note;
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ >= kRedrawInterval) {
    drawn_ = now;
    draw();
  }
}

void ProgressLine::finish() {
  if (visible_) {
    show_live_line("");
    visible_ = false;
  }
}

void ProgressLine::draw() {
  std::string line = label_;
  if (total_ > 0) {
    const double part = static_cast<double>(done_) / static_cast<double>(total_);
    line += fmt::format("  {:3.0f}%", std::min(100.0, 100.0 * part));
  } else {
    line += fmt::format("  {} {}", human_count(static_cast<double>(done_)), unit_);
  }
  const double elapsed = seconds_between(started_, drawn_);
  const double rate =
      elapsed > 0 && done_ > first_ ? static_cast<double>(done_ - first_) / elapsed : 0.0;
  if (rate > 0) {
    line += fmt::format("  {} {}/s", human_count(rate), unit_);
    if (total_ > done_) {
      line += "  ETA " + human_duration(static_cast<double>(total_ - done_) / rate);
    }
  }
  if (!note_.empty()) {
    line += "  " + note_;
  }
  // One column stays free: some terminals wrap as soon as the last one is filled.
  show_live_line(fitted(line, static_cast<std::size_t>(std::max(2, terminal_columns()) - 1)));
}

}  // namespace weft
