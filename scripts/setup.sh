#!/usr/bin/env bash
# Prepares a Debian 12 machine to build weft: installs the Debian packages that are missing, and
# unpacks LibTorch and Arrow from pinned Python wheels into $WEFT_DEPS (default: the user's cache
# folder), outside the clone, so that a second clone finds them there. A second run changes nothing
# and needs no network.
#
#   scripts/setup.sh
#
#   WEFT_DEPS=FOLDER    where LibTorch is unpacked (default ${XDG_CACHE_HOME:-~/.cache}/weft)
#   WEFT_CUDA=ON|OFF    with or without the GPU libraries (default: with, where a driver is found)
#   WEFT_PARQUET=ON|OFF with or without Arrow's C++ library, 55 MB, for Parquet files (default ON)
#   WEFT_PACKAGES=skip  leave the Debian packages alone
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

packages=(
  g++ cmake ninja-build ccache lld pkg-config ca-certificates unzip python3-pip python3-venv
  libhdf5-dev libgloo-dev libsentencepiece-dev libpcre2-dev libutf8proc-dev libssl-dev
  zlib1g-dev libzstd-dev
  nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libspdlog-dev libfmt-dev libboost-context-dev
  libgtest-dev libgmock-dev libbenchmark-dev strace clang-14 libclang-rt-14-dev clang-format-14 clang-tidy-14
)

missing_packages() {
  comm -23 <(printf '%s\n' "${packages[@]}" | sort) \
    <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null |
      sed -n 's/^installed //p' | sort -u)
}

install_packages() {
  local missing
  if [ "${WEFT_PACKAGES:-}" = skip ]; then return; fi
  command -v dpkg-query >/dev/null ||
    die "this is not a Debian system. Install the counterparts of: ${packages[*]}; then run" \
      "WEFT_PACKAGES=skip $0"
  mapfile -t missing < <(missing_packages)
  if [ "${#missing[@]}" = 0 ]; then return; fi
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    die "the packages could not be installed. Run as root: apt-get install ${missing[*]}"
}

# The pip requirements of one [group] of pins.txt.
pins_of() {
  awk -v group="[$1]" '/^# \[/ {inside = ($2 == group)} /^[^#]/ && inside' "$root/scripts/pins.txt"
}

# A group is unpacked when its stamp holds the hash of its pins.
stamp_of() { pins_of "$1" | sha256sum | cut -d' ' -f1; }
is_unpacked() { [ "$(cat "$libtorch/.weft-$1" 2>/dev/null)" = "$(stamp_of "$1")" ]; }

wants_cuda() {
  case ${WEFT_CUDA:-AUTO} in
    ON) true ;;
    OFF) false ;;
    AUTO) [ -e /proc/driver/nvidia/version ] || [ -e /dev/nvidiactl ] ;;
    *) die "WEFT_CUDA is '$WEFT_CUDA'; expected ON, OFF or AUTO." ;;
  esac
}

wanted_groups() {
  echo cpu
  echo frontend
  if wants_cuda; then
    echo gpu
    if ! command -v nvcc >/dev/null && [ ! -x "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" ]; then
      echo nvcc
    fi
  fi
}

# download_group GROUP FOLDER: downloads the wheels of the group into the folder, checks their hashes.
download_group() {
  say "downloading $(pins_of "$1" | sed 's/ .*//' | tr '\n' ' ')"
  mkdir -p "$2"
  pins_of "$1" >"$2/pins.txt"
  # The tag is forced: the wheel is only unpacked, so it need not fit the Python that fetches it.
  "$(system_python)" -m pip download --quiet --disable-pip-version-check --progress-bar off \
    --no-deps --only-binary=:all: --python-version 3.11 --implementation cp --require-hashes \
    -r "$2/pins.txt" -d "$2" ||
    die "the wheels could not be downloaded. Check the network and pip's configuration, run it again."
}

# unpack_group GROUP FOLDER: downloads the wheels of the group and unpacks them.
unpack_group() {
  local wheels=$2/.wheels wheel
  download_group "$1" "$wheels"
  for wheel in "$wheels"/*.whl; do
    say "unpacking $(basename "$wheel")"
    # Exit code 11: a pattern matched nothing, as every wheel has but some of these folders.
    unzip -q -o "$wheel" 'torch/lib/*' 'torch/include/*' 'torch/share/*' 'nvidia/*' \
      'include/cudnn*' -d "$2" \
      2>/dev/null || [ $? = 11 ] || die "$wheel could not be unpacked. Is the disk full?"
  done
  rm -rf "$wheels"
  chmod -f a+x "$2"/nvidia/cu13/bin/* "$2"/nvidia/cu13/nvvm/bin/* || true
  stamp_of "$1" >"$2/.weft-$1"
}

wants_parquet() {
  case ${WEFT_PARQUET:-ON} in
    ON) true ;;
    OFF) false ;;
    *) die "WEFT_PARQUET is '$WEFT_PARQUET'; expected ON or OFF." ;;
  esac
}

# The two libraries and the headers of the pyarrow wheel; the rest of it is for Python.
unpack_arrow() {
  local staging=$arrow.tmp wheel
  if ! wants_parquet || [ "$(cat "$arrow/.weft-parquet" 2>/dev/null)" = "$(stamp_of parquet)" ]; then
    return
  fi
  rm -rf "$staging"
  download_group parquet "$staging/.wheels"
  for wheel in "$staging"/.wheels/*.whl; do
    say "unpacking $(basename "$wheel")"
    unzip -q -o "$wheel" 'pyarrow/include/*' 'pyarrow/libarrow.so.*' 'pyarrow/libparquet.so.*' \
      -d "$staging" || die "$wheel could not be unpacked. Is the disk full?"
  done
  mv "$staging"/pyarrow/* "$staging"
  rm -rf "$staging/.wheels" "$staging/pyarrow" "$arrow"
  stamp_of parquet >"$staging/.weft-parquet"
  mv "$staging" "$arrow"
}

# Prepares the new folder beside the old one and swaps them by rename, so that whoever builds sees
# one or the other, and an interrupted set-up is done again.
unpack_libtorch() {
  local staging=$libtorch.tmp group
  local todo=()
  for group in $(wanted_groups); do
    is_unpacked "$group" || todo+=("$group")
  done
  rm -rf "$staging" "$libtorch.old"
  if [ "${#todo[@]}" = 0 ]; then return; fi
  [ "$(uname -sm)" = "Linux x86_64" ] ||
    die "this is $(uname -sm); scripts/pins.txt holds wheels for Linux x86_64 only."
  mkdir -p "$staging"
  # Adding a group to a sound folder: share its files. Changed core pins: begin anew.
  if is_unpacked cpu; then cp -al "$libtorch/." "$staging"; else todo=($(wanted_groups)); fi
  for group in "${todo[@]}"; do unpack_group "$group" "$staging"; done
  if [ -e "$libtorch" ]; then mv "$libtorch" "$libtorch.old"; fi
  mv "$staging" "$libtorch"
  rm -rf "$libtorch.old"
}

install_packages
with_lock setup
unpack_libtorch
unpack_arrow
say "ready: LibTorch is in $libtorch"
