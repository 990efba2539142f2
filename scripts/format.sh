#!/usr/bin/env bash
# Formats every C++ source in place with the pinned clang-format; tests/style checks the result.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

command -v clang-format-14 >/dev/null || die "clang-format-14 is missing. Run scripts/setup.sh."
cd "$root"
find base kernels data model adapters distributed trainer cli tests benchmarks cmake \
  \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' \) -print0 | xargs -0 clang-format-14 -i
