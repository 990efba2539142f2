#!/usr/bin/env bash
# Builds weft for GPUs and runs it on one that is not there (tests/absent_gpu/README.md): all that a GPU run does on the host,
# on a machine without a GPU. Ends with ctest's summary; says why and leaves with 0 where it can't be built.
#
#   scripts/absent_gpu.sh [CTEST-ARGUMENT…]
#
# LibTorch's CUDA half is the one that WEFT_CUDA=ON scripts/setup.sh unpacked, else that of the Python environment which
# scripts/oracle.sh makes.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cd "$root"
build=$root/build/absent-gpu
half=nvidia/cudnn/lib/libcudnn.so.9
scripts/setup.sh
if ! command -v nvcc >/dev/null && [ ! -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]; then
  say "no nvcc was found: the tests on an absent GPU are left out"
  exit 0
fi
cuda_half=$libtorch
if [ ! -e "$libtorch/$half" ]; then
  python=$(scripts/oracle.sh) || {
    say "there is no LibTorch for GPUs (WEFT_CUDA=ON scripts/setup.sh): the tests on an absent GPU are left out"
    exit 0
  }
  cuda_half=$(dirname "$("$python" -c \
    'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])')")
fi
[ -e "$cuda_half/$half" ] || die "$cuda_half/$half is missing. Run: WEFT_CUDA=ON scripts/setup.sh"

say "configuring the build for an absent GPU, with $cuda_half"
cmake --preset release -B "$build" -DWEFT_CUDA=ON -DWEFT_PARQUET=OFF -DWEFT_LIBTORCH="$cuda_half" \
  -DWEFT_CUDNN_FRONTEND_INCLUDE="$libtorch/include" >build.log 2>&1 ||
  { cat build.log >&2; die "cmake failed; see above."; }
rm -f build.log
say "building with $(build_jobs) jobs"
cmake --build "$build" --parallel "$(build_jobs)" \
  --target weft_absent_gpu_tests weft_absent_gpu_process_tests weft_sdpa_tests
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
exec ctest --test-dir "$build" --no-tests=error --output-on-failure --parallel "$(nproc)" -R '^(AbsentGpu|Forms/AbsentGpu|Sdpa)' "$@"
