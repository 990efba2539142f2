#pragma once

#include <string>

#include "base/error.h"

namespace weft::test {

/// The Error that `action` throws; one that says so when it throws none. For tests that check kind
/// and message: `EXPECT_THAT(caught([&] { load(path); }).what(), HasSubstr("cut short"))`.
template <typename Action>
[[nodiscard]] Error caught(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::kInternal, "(no error was thrown)");
}

}  // namespace weft::test
