#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace weft {
namespace {

/// Edit distance with transpositions of neighbours (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) {
    last[j] = j;
  }
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

struct Utf8Step {
  std::size_t length;  ///< bytes consumed, at least 1
  bool valid;
  bool cut;  ///< the text ends inside a sequence that was well-formed so far
};

/// Looks at the UTF-8 sequence that begins at `at`, by the table of well-formed sequences in the
/// Unicode standard.
Utf8Step utf8_step(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(at);
  if (first < 0x80) {
    return {1, true, false};
  }
  if (first < 0xC2 || first > 0xF4) {
    return {1, false, false};
  }
  const std::size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  for (std::size_t i = 1; i < length; ++i) {
    if (at + i == text.size()) {
      return {i, false, true};
    }
    unsigned low = 0x80;
    unsigned high = 0xBF;
    if (i == 1) {
      low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
      high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    }
    if (byte(at + i) < low || byte(at + i) > high) {
      return {i, false, false};
    }
  }
  return {length, true, false};
}

}  // namespace

std::string nearest_name(std::string_view name, std::span<const std::string> candidates) {
  std::string best;
  std::size_t best_distance = 0;
  for (const std::string& candidate : candidates) {
    const std::size_t longer = std::max(name.size(), candidate.size());
    const std::size_t allowed = std::max<std::size_t>(2, longer / 3);
    const std::size_t distance = edit_distance(name, candidate);
    // distance == longer: not one letter in common.
    if (distance <= allowed && distance < longer && (best.empty() || distance < best_distance)) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1024) {
    return fmt::format("{} B", bytes);
  }
  constexpr std::array kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {  // 1023.95 would print as 1024.0
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_count(double count) {
  if (!std::isfinite(count)) {
    return fmt::format("{}", count);
  }
  if (std::abs(count) < 999.5) {
    return fmt::format("{:.0f}", count);
  }
  constexpr std::array kUnits = {"k", "M", "B", "T"};
  std::size_t unit = 0;
  double value = count / 1000;
  while (std::abs(value) >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  // Three significant digits.
  const int decimals = std::abs(value) < 9.995 ? 2 : std::abs(value) < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", value, decimals, kUnits[unit]);
}

std::string human_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds > 3.6e9) {
    return "?";
  }
  const auto whole = static_cast<std::int64_t>(std::llround(std::max(0.0, seconds)));
  if (whole < 3600) {
    return fmt::format("{}:{:02}", whole / 60, whole % 60);
  }
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    if (!step.valid) {
      return false;
    }
    at += step.length;
  }
  return true;
}

std::size_t incomplete_utf8_suffix(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const std::size_t at = text.size() - back;
    const auto byte = static_cast<unsigned char>(text[at]);
    if ((byte & 0xC0) == 0x80) {
      continue;  // inside a sequence: its first byte is further back
    }
    return utf8_step(text, at).cut ? back : 0;
  }
  return 0;
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    const auto first = static_cast<unsigned char>(text[at]);
    std::string piece;
    if (!step.valid || first < 0x20 || first == 0x7F) {
      for (std::size_t i = 0; i < step.length; ++i) {
        piece += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[at + i]));
      }
    } else if (first == 0xC2 && static_cast<unsigned char>(text[at + 1]) < 0xA0) {
      // C1 control characters: some terminals obey them.
      piece = fmt::format("\\u{:04x}", static_cast<unsigned char>(text[at + 1]));
    } else {
      piece = text.substr(at, step.length);
    }
    if (out.size() + piece.size() > limit) {
      return out + "…";
    }
    out += piece;
    at += step.length;
  }
  return out;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t at = text.find(separator); at != text.npos; at = text.find(separator)) {
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + 1);
  }
  parts.push_back(text);
  return parts;
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) {
      out += separator;
    }
    out += parts[i];
  }
  return out;
}

}  // namespace weft
