#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weft {

/// The candidate with the smallest edit distance to `name` (Damerau-Levenshtein), or "" when none
/// is near (distance over a third of the longer length, at least 2 allowed). For "did you mean".
[[nodiscard]] std::string nearest_name(std::string_view name,
                                       std::span<const std::string> candidates);

/// "1.5 GiB", "812 B".
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
/// "950", "12.3k", "4.02B" (decimal thousands).
[[nodiscard]] std::string human_count(double count);
/// "0:42", "1:02:03".
[[nodiscard]] std::string human_duration(double seconds);

/// Whether `text` is well-formed UTF-8 (no surrogates, no overlong forms).
[[nodiscard]] bool is_utf8(std::string_view text);
/// The number of bytes at the end of `text` that begin a UTF-8 sequence but do not complete it (0
/// to 3): what a streaming printer must hold back.
[[nodiscard]] std::size_t incomplete_utf8_suffix(std::string_view text);
/// `text` with control characters and non-UTF-8 bytes escaped and cut to `limit` bytes with "…":
/// for names from files in messages.
[[nodiscard]] std::string printable(std::string_view text, std::size_t limit = 120);

[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
[[nodiscard]] std::string join(std::span<const std::string> parts, std::string_view separator);

}  // namespace weft
