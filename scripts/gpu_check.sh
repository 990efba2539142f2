#!/usr/bin/env bash
# Everything that a machine with a GPU has to run, within ten minutes, the most important first: the kernels' and the
# models' tests, a training curve beside PEFT's, steps timed beside the peer, and compute-sanitizer. Needs no toolkit: a
# bundle (scripts/bundle.sh), and a python3 that has torch 2.11, transformers and peft.
#
#   scripts/gpu_check.sh BUNDLE [OUT]     writes OUT.json and OUT.md (default: gpu_check in the current folder)
#
#   WEFT_GPU_SECONDS=N    the time for all of it (default 570)
#   WEFT_PYTHON=PROGRAM   the python that has the peer (default python3)
set -euo pipefail
if [ $# -lt 1 ] || [ ! -x "$1/run" ]; then
  echo "usage: $0 BUNDLE [OUT]; BUNDLE is a folder that scripts/bundle.sh made" >&2
  exit 2
fi
exec "${WEFT_PYTHON:-python3}" "$1/checks/gpu_check.py" --bundle "$1" --out "${2:-gpu_check}" \
  --seconds "${WEFT_GPU_SECONDS:-570}"
