#!/usr/bin/env bash
# scripts/gpu_check.sh on a bundle of stand-ins: what it reports of programs that pass, fail and take too long.
#
#   gpu_check_test.sh SOURCE
set -euo pipefail
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "gpu_check_test: $*" >&2
  exit 1
}

bundle=$work/bundle
mkdir -p "$bundle/checks" "$work/bin"
cp "$source/benchmarks/gpu_check.py" "$bundle/checks/"
echo abc1234 >"$bundle/COMMIT"
cat >"$work/bin/nvidia-smi" <<'STUB'
#!/bin/sh
echo "NVIDIA H100 80GB HBM3, 580.1"
STUB
cat >"$bundle/run" <<'STUB'
#!/usr/bin/env python3
import json, os, sys, time
program = sys.argv[1]
if program == os.environ.get("SLOW"):
    time.sleep(60)
if program.endswith("_tests"):
    bad = program == os.environ.get("BAD")
    tests = [{"name": "Runs", "result": "COMPLETED"}, {"name": "Waits", "result": "SKIPPED"}]
    if bad:
        tests[0]["failures"] = [{"failure": "off by one row"}]
    path = sys.argv[2].split(":", 1)[1]
    json.dump({"testsuites": [{"name": "Gpu.Norm", "testsuite": tests}]}, open(path, "w"))
    sys.exit(bad)
if program == "weft_bench_step":
    speed = 330.0 if "extended" in sys.argv else 300.0
    print(json.dumps({"tokens_per_second": speed, "peak_bytes": 60}))
STUB
for program in peer_step gpu_curve; do
  printf 'import json\nprint(json.dumps({"tokens_per_second": 100.0, "peak_bytes": 100, "largest_difference": 0.001}))\n' \
    >"$bundle/checks/$program.py"
done
chmod +x "$work/bin/nvidia-smi" "$bundle/run"
export PATH=$work/bin:$PATH

check() { "$source/scripts/gpu_check.sh" "$bundle" "$work/$1" >/dev/null 2>&1; }
has() { grep -qF -- "$2" "$work/$1" || fail "$1 says nothing of '$2': $(cat "$work/$1")"; }

check good || fail "a bundle whose programs all pass was reported as failed"
has good.md "NVIDIA H100 80GB HBM3"
has good.md abc1234
has good.md "| kernels | passed |"
has good.md "1 passed, 0 failed, 1 skipped"
has good.md "330 tokens/s extended, 3.30x the peer's best; memory 0.60x at 16384 tokens; lora_gemm: extended 1.10x plain"
has good.json '"largest_difference": 0.001'
has good.md "speed with --graphs to without: 1.00x at 2048, 1.00x at 8192"
has good.md "speed with --not-deterministic to without: 1.00x at 16384"
has good.md "speed with --fp8 to without: 1.00x at 16384"

BAD=weft_kernels_gpu_tests check bad && fail "a failing kernel was not reported"
has bad.md "| kernels | failed |"
has bad.json "off by one row"
has bad.md "| step 0.6b | passed |" # what comes after it ran all the same

WEFT_GPU_SECONDS=8 SLOW=weft_kernels_gpu_tests check slow && fail "a program that hangs was not reported"
has slow.md "| kernels | failed |"
has slow.md "no time was left"

"$source/scripts/gpu_check.sh" "$work/nothing" >/dev/null 2>&1 && fail "a bundle that is not there was taken"
echo "gpu_check_test: all is well"
