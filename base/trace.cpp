#include "base/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"

namespace weft {
namespace {

constexpr std::size_t kMostSpans = 1'000'000;
Trace* active = nullptr;

}  // namespace

Trace::Trace() : began_(std::chrono::steady_clock::now()) {
  if (active != nullptr) {
    fail_internal("a trace is active already");
  }
  active = this;
}

Trace::~Trace() { active = nullptr; }

void Trace::settle_by(std::function<void()> settle) {
  if (active != nullptr) {
    active->settle_ = std::move(settle);
  }
}

std::int64_t Trace::now() const {
  if (settle_) {
    settle_();
  }
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() -
                                                              began_)
      .count();
}

void Trace::open(const char* name) { open_.push_back({name, now(), 0}); }

void Trace::close() {
  const Open span = open_.back();
  open_.pop_back();
  const std::int64_t end = now();
  const std::int64_t whole = end - span.begin;
  if (!open_.empty()) {
    open_.back().inside += whole;
  }
  // Few names, and literals: comparing pointers finds nearly all of them at once.
  auto sum = std::find_if(sums_.begin(), sums_.end(),
                          [&](const auto& entry) { return entry.first == span.name; });
  if (sum == sums_.end()) {
    sum = sums_.insert(sums_.end(), {span.name, Sum()});
  }
  ++sum->second.count;
  sum->second.nanoseconds += whole - span.inside;
  if (spans_.size() < kMostSpans) {
    spans_.push_back({span.name, span.begin, end});
  }
}

std::vector<Trace::Share> Trace::shares() const {
  std::map<std::string, Sum> by_name;  // the same words in two files are two literals
  std::int64_t total = 0;
  for (const auto& [name, sum] : sums_) {
    by_name[name].count += sum.count;
    by_name[name].nanoseconds += sum.nanoseconds;
    total += sum.nanoseconds;
  }
  std::vector<Share> shares;
  for (const auto& [name, sum] : by_name) {
    shares.push_back(
        {name, sum.count, static_cast<double>(sum.nanoseconds) * 1e-9,
         total == 0 ? 0.0 : static_cast<double>(sum.nanoseconds) / static_cast<double>(total)});
  }
  std::stable_sort(shares.begin(), shares.end(),
                   [](const Share& a, const Share& b) { return a.seconds > b.seconds; });
  return shares;
}

std::string Trace::summary() const {
  std::string text = fmt::format("{:<24}{:>8}{:>12}{:>10}\n", "phase", "share", "seconds", "times");
  for (const Share& share : shares()) {
    text += fmt::format("{:<24}{:>7.1f}%{:>12.3f}{:>10}\n", share.name, 100 * share.fraction,
                        share.seconds, share.count);
  }
  return text;
}

void Trace::write(FileSystem& files, const fs::path& path) const {
  PublishedFile file(files, path);
  file.append(std::string_view("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n"));
  std::string text;
  for (std::size_t i = 0; i < spans_.size(); ++i) {
    const Span& span = spans_[i];
    text += fmt::format(
        "{{\"name\": \"{}\", \"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"ts\": {:.3f}, \"dur\": "
        "{:.3f}}}{}\n",
        span.name, static_cast<double>(span.begin) * 1e-3,
        static_cast<double>(span.end - span.begin) * 1e-3, i + 1 == spans_.size() ? "" : ",");
    if (text.size() > (1U << 20)) {
      file.append(std::string_view(text));
      text.clear();
    }
  }
  file.append(std::string_view(text + "]}\n"));
  file.commit();
}

TracePhase::TracePhase(const char* name) : trace_(active) {
  if (trace_ != nullptr) {
    trace_->open(name);
  }
}

TracePhase::~TracePhase() {
  if (trace_ != nullptr) {
    trace_->close();
  }
}

void TracePhase::next(const char* name) {
  if (trace_ != nullptr) {
    trace_->close();
    trace_->open(name);
  }
}

}  // namespace weft
