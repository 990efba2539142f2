#!/usr/bin/env bash
# Builds the fuzz targets with clang, AddressSanitizer and UndefinedBehaviorSanitizer, runs each and prints how many
# inputs were tried. What was found lies in build/fuzz/findings; the checked-in corpus is only read.
#
#   scripts/fuzz.sh [--seconds N] [--runs N] [TARGET…]
#
# 60 seconds each unless said otherwise, and at most so many inputs where --runs is given; all targets unless named.
#
#   WEFT_FUZZ_SEED=N      the same inputs in the same order each time (default 0: others each time)
#
# Exit status: 0 nothing found, 1 a finding, 77 clang or its fuzzing runtime is missing (Debian: clang-14).
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

seconds=60
runs=-1
targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --seconds) seconds=$2; shift 2 ;;
    --runs) runs=$2; shift 2 ;;
    -*) die "unknown option $1; usage: scripts/fuzz.sh [--seconds N] [--runs N] [TARGET…]" ;;
    *) targets+=("$1"); shift ;;
  esac
done
if [ ${#targets[@]} = 0 ]; then targets=(rows chat tokenizer sentencepiece shard index); fi

clang=$(command -v clang++-14 || command -v clang++ || true)
if [ -z "$clang" ] ||
  ! echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    "$clang" -fsanitize=fuzzer,address,undefined -x c++ - -o /dev/null 2>/dev/null; then
  say "clang with its fuzzing runtime is missing; install the Debian package clang-14"
  exit 77
fi

build=${WEFT_FUZZ_BUILD:-$root/build/fuzz}
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DWEFT_FUZZ=ON -DWEFT_CUDA=OFF \
  -DCMAKE_CXX_COMPILER="$clang" >"$build.log" 2>&1 || { cat "$build.log" >&2; die "cmake failed; see above."; }
cmake --build "$build" --parallel "$(build_jobs)" --target $(printf 'weft_fuzz_%s ' "${targets[@]}") >>"$build.log" 2>&1 ||
  { tail -40 "$build.log" >&2; die "the build failed; see above."; }

mkdir -p "$build/findings"
found=0
for target in "${targets[@]}"; do
  mkdir -p "$build/corpus/$target"
  log=$build/$target.log
  begun=$SECONDS
  # SentencePiece and HDF5 keep global tables to the end: no search for leaks. HDF5 asks for what a damaged file says, and takes no for an answer.
  if ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:suppressions=$root/tests/fuzz/address_sanitizer.txt" "$build/weft_fuzz_$target" -max_total_time="$seconds" -runs="$runs" -timeout=10 -seed="${WEFT_FUZZ_SEED:-0}" \
    -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 -artifact_prefix="$build/findings/$target-" \
    "$build/corpus/$target" "$root/tests/fuzz/corpus/$target" >"$log" 2>&1; then
    result=ok
  else
    result="FINDING, see $log"
    found=1
  fi
  tried=$(awk '/stat::number_of_executed_units/ {print $2}' "$log")
  say "$target: ${tried:-0} inputs in $((SECONDS - begun)) s: $result"
done
exit "$found"
