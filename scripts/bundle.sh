#!/usr/bin/env bash
# Makes a folder that runs on another machine: programs, tests for GPUs, benchmarks, and the shared
# libraries they need besides LibTorch, which the other machine has (an unpacked one, or the torch
# package of a Python there). Nothing of it depends on where the folder lies.
#
#   scripts/bundle.sh [FOLDER]      default: bundle/ in the project
#   FOLDER/run weft env             there; FOLDER/run alone lists what it can run
#
#   WEFT_BUILD=FOLDER               the build folder (default build/release)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

out=$(realpath -m "${1:-$root/bundle}")
preset=${WEFT_PRESET:-release}
build=${WEFT_BUILD:-$root/build/$preset}
limit_mib=60

# But for what has nothing to do on a GPU: reading shards, and the tokenizer.
programs() {
  find "$build" -type f -perm -u+x \
    \( -path "$build/weft" -o -path "$build/weft_bench_*" -o -name 'weft_*gpu_tests' -o -path "$build/benchmarks/*" \) \
    ! -name '*.so*' ! -path '*/CMakeFiles/*' ! -name weft_bench_loader ! -name weft_bench_tokenizer ! -name 'weft_absent_gpu*' | sort
}

# The shared libraries that a program is linked with, but those every Linux or LibTorch has.
libraries_of() {
  ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | grep -v "^$libtorch/" |
    grep -vE '/(libc|libm|libdl|libpthread|librt|libresolv|libutil|ld-linux[^/]*|libgomp)\.so[^/]*$' || true
}

write_launcher() {
  cat >"$out/run" <<'RUN'
#!/bin/sh
# run PROGRAM [ARGUMENT…]: runs a program of this folder with the LibTorch 2.11 of this machine:
# $WEFT_LIBTORCH (a folder that holds torch/), the one scripts/setup.sh unpacked, or python3's.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
if [ $# = 0 ] || [ ! -x "$here/bin/$1" ]; then
  echo "usage: $0 PROGRAM [ARGUMENT…]; programs: $(ls "$here/bin" | tr '\n' ' ')" >&2
  exit 2
fi
python_torch() {
  python3 -c 'import importlib.util as u
print(u.find_spec("torch").submodule_search_locations[0] + "/..")' 2>/dev/null
}
deps=${WEFT_DEPS:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/weft}
for folder in "${WEFT_LIBTORCH:-}" "$deps/libtorch-2.11.0" "$(python_torch)"; do
  version=$folder/torch/share/cmake/Torch/TorchConfigVersion.cmake
  if [ -n "$folder" ] && grep -qs '"2\.11\.' "$version"; then
    LD_LIBRARY_PATH=$here/lib:$folder/torch/lib:$folder/nvidia/cu13/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
    program=$1
    shift
    exec "$here/bin/$program" "$@"
  fi
done
echo "LibTorch 2.11 was not found. Set WEFT_LIBTORCH to the folder that holds torch/lib, or pip" \
  "install torch==2.11.0." >&2
exit 2
RUN
  chmod +x "$out/run"
}

[ -x "$build/weft" ] || die "$build/weft is missing. Build it first: scripts/test.sh"
rm -rf "$out.tmp"
mkdir -p "$out.tmp/bin" "$out.tmp/lib"
final=$out out=$out.tmp
for program in $(programs); do
  install -m 755 -s "$program" "$out/bin/"
  for library in $(libraries_of "$program"); do
    # By the name the program asks for, which is the soname.
    cp -Lu "$library" "$out/lib/"
  done
  cmake -DFILE="$out/bin/$(basename "$program")" -P "$root/cmake/bundle_rpath.cmake" >/dev/null
done
cp "$root/LICENSE" "$out/"
# What scripts/gpu_check.sh runs beside the programs.
mkdir -p "$out/checks/fixtures"
cp "$root"/benchmarks/{gpu_check,gpu_curve,peer_step}.py "$root/scripts/gpu_check.sh" "$out/checks/"
cp -r "$root/tests/fixtures/model" "$out/checks/fixtures/"
git -C "$root" describe --always --dirty >"$out/COMMIT" 2>/dev/null || echo unknown >"$out/COMMIT"
write_launcher
rm -rf "$final"
mv "$out" "$final"

size=$(du -sm "$final" | cut -f1)
say "$final: $(ls "$final/bin" | wc -l) programs, $(ls "$final/lib" | wc -l) libraries, $size MiB"
[ "$size" -lt "$limit_mib" ] || die "the bundle has $size MiB; it is to stay below $limit_mib."
