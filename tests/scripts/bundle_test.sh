#!/usr/bin/env bash
# A bundle runs from wherever it is moved to, finds LibTorch, and says so where there is none.
set -euo pipefail
export WEFT_BUILD=$2 WEFT_DEPS=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "bundle_test: $*" >&2; exit 1; }

"$1/scripts/bundle.sh" "$work/made"
mv "$work/made" "$work/moved"
[ -z "$(find "$work/moved" -name 'libtorch*' -o -name '*python*')" ] || fail "LibTorch or Python is inside"
for program in "$work"/moved/bin/*; do
  case $(readelf -d "$program" | grep -E 'RPATH|RUNPATH') in
    *'[$ORIGIN/../lib]'*) ;;
    *) fail "$program looks for libraries elsewhere: $(readelf -d "$program" | grep -E 'RPATH|RUNPATH')" ;;
  esac
done
version=$("$work/moved/run" weft --version)
case $version in
  "weft "*) ;;
  *) fail "weft --version printed: $version" ;;
esac
# Neither the folder of set-up nor a Python with torch: an empty PATH but for the shell's own tools.
if output=$(env -u WEFT_LIBTORCH WEFT_DEPS="$work/none" PATH=/usr/bin:/bin \
  "$work/moved/run" weft --version 2>&1); then
  /usr/bin/python3 -c 'import torch' 2>/dev/null || fail "it ran without LibTorch: $output"
else
  case $output in
    *"Set WEFT_LIBTORCH"*) ;;
    *) fail "the message does not say what to do: $output" ;;
  esac
fi
