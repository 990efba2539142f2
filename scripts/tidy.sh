#!/usr/bin/env bash
# Runs clang-tidy with the checks of .clang-tidy: on the files named, or on every source file.
#
#   scripts/tidy.sh [FILE.cpp…]
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

command -v clang-tidy-14 >/dev/null || die "clang-tidy-14 is missing. Run scripts/setup.sh."
cd "$root"
# A build folder of its own: clang cannot read a header that g++ precompiled.
cmake --preset tidy >/dev/null || die "cmake --preset tidy failed."
if [ $# = 0 ]; then
  mapfile -t files < <(find base kernels data model adapters distributed trainer cli -name '*.cpp' | sort)
else
  files=("$@")
fi
printf '%s\0' "${files[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy-14 --quiet -p build/tidy \
    --extra-arg=-Wno-sign-conversion --warnings-as-errors='*'
