#pragma once

#include <concepts>
#include <limits>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace weft {

/// a + b, or a data Error that names `what` when the sum does not fit in T.
template <std::integral T>
[[nodiscard]] T checked_add(T a, T b, std::string_view what) {
  T result;
  if (__builtin_add_overflow(a, b, &result)) {
    fail_data("{}: {} + {} is too large for this program", what, a, b);
  }
  return result;
}

/// a * b, or a data Error that names `what` when the product does not fit in T.
template <std::integral T>
[[nodiscard]] T checked_mul(T a, T b, std::string_view what) {
  T result;
  if (__builtin_mul_overflow(a, b, &result)) {
    fail_data("{}: {} x {} is too large for this program", what, a, b);
  }
  return result;
}

/// `value` as To, or a data Error that names `what` when it is out of To's range.
template <std::integral To, std::integral From>
[[nodiscard]] To checked_cast(From value, std::string_view what) {
  if (!std::in_range<To>(value)) {
    fail_data("{}: {} is outside the range {} to {}", what, value, std::numeric_limits<To>::min(),
              std::numeric_limits<To>::max());
  }
  return static_cast<To>(value);
}

}  // namespace weft
