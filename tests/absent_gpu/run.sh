#!/bin/sh
# run.sh BUILD PROGRAM [ARGUMENT…]: runs a program on the GPU that is not there (README.md). BUILD is a folder that was built
# with WEFT_CUDA=ON; a Python brings its own LibTorch and cuDNN.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
if [ $# -lt 2 ] || [ ! -e "$1/tests/absent_gpu/libcudart.so.13" ]; then
  echo "usage: $0 BUILD PROGRAM [ARGUMENT…]; BUILD is built with WEFT_CUDA=ON" >&2
  exit 2
fi
build=$(CDPATH= cd -- "$1" && pwd)
shift
libtorch=$(sed -n 's/^WEFT_LIBTORCH:[^=]*=//p' "$build/CMakeCache.txt")
case $(basename "$1") in
python*) libtorch=$("$1" -c 'import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0] + "/..")') ;;
esac
export WEFT_ABSENT_GPU_CUDNN="$libtorch/nvidia/cudnn/lib/libcudnn.so.9"
export WEFT_ABSENT_GPU_DESCRIPTION="$here/../fixtures/h100.json"
libraries=$build/tests/absent_gpu
LD_PRELOAD=$libraries/libcuda.so.1:$libraries/libcudart.so.13:$libraries/libcudnn.so.9${LD_PRELOAD:+:$LD_PRELOAD}
export LD_PRELOAD
exec "$@"
