#!/usr/bin/env bash
# A second set-up finds everything in place: it neither installs nor downloads. An unpacked folder
# whose pins have changed, or that an interrupted set-up left, is not taken for a sound one.
set -euo pipefail
scripts=$1/scripts
export WEFT_DEPS=$2

fail() { echo "setup_test: $*" >&2; exit 1; }

if [ ! -e "$WEFT_DEPS/libtorch-2.11.0/.weft-cpu" ]; then
  echo "skipped: LibTorch in $WEFT_DEPS was not unpacked by scripts/setup.sh"
  exit 77
fi
output=$(WEFT_PACKAGES=skip "$scripts/setup.sh" 2>&1) || fail "failed: $output"
[ "$output" = "setup: ready: LibTorch is in $WEFT_DEPS/libtorch-2.11.0" ] ||
  fail "a second run did more than look: $output"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/libtorch-2.11.0.tmp/torch" "$work/libtorch-2.11.0/torch/lib" "$work/bin"
# A pip that cannot download stands in for a machine without a network.
if output=$(PIP_NO_INDEX=1 PIP_FIND_LINKS="$work/bin" WEFT_DEPS=$work WEFT_PACKAGES=skip \
  WEFT_CUDA=OFF "$scripts/setup.sh" 2>&1); then
  fail "a folder without a stamp was taken for a sound one: $output"
fi
case $output in
  *"downloading torch==2.11.0"*"Check the network"*) ;;
  *) fail "the message does not say what to do: $output" ;;
esac
if output=$(WEFT_CUDA=maybe WEFT_DEPS=$work WEFT_PACKAGES=skip "$scripts/setup.sh" 2>&1); then
  fail "WEFT_CUDA=maybe was accepted: $output"
fi
case $output in
  *"WEFT_CUDA is 'maybe'; expected ON, OFF or AUTO."*) ;;
  *) fail "the message does not name the value: $output" ;;
esac
