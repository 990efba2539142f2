#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/simt/violation.h"

namespace weft::simt {

struct Found {
  Rule rule = Rule::kLaunch;
  std::string message;
};

/// The Violation that `body` throws; fails the test when it throws none.
inline Found violation_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Violation& violation) {
    return {violation.rule(), violation.what()};
  }
  ADD_FAILURE() << "nothing was found";
  return {};
}

}  // namespace weft::simt
