#!/usr/bin/env bash
# Makes the Python virtual environment that tests labelled `oracle` compare weft with, in
# $WEFT_DEPS/oracle-<hash of the pins>, and points $WEFT_DEPS/oracle at it. Does nothing when it is
# there already. The last line of its output is the path of the environment's python.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

requirements=$root/scripts/oracle-requirements.txt
hash=$(sha256sum "$requirements" | cut -c1-12)
venv=$deps/oracle-$hash

make_venv() {
  local python
  python=$(system_python)
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$python is older than 3.11, which the pinned libraries need. Install Python 3.11 or newer."
  rm -rf "$venv"
  say "making $venv"
  "$python" -m venv "$venv" || die "python3 -m venv failed. Install the Debian package python3-venv."
  say "installing $(grep -vc '^#' "$requirements") pinned libraries (about 2.5 GB to download)"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --progress-bar off \
    --no-deps --only-binary=:all: -r "$requirements" ||
    die "the libraries in $requirements could not be installed. Check the network and run it again."
  "$venv/bin/python" -c 'import torch, transformers, peft, tokenizers, h5py, gguf, tensorboard' ||
    die "the libraries were installed but cannot be imported. Remove $venv and run it again."
  touch "$venv/.complete"
}

with_lock oracle
if [ ! -e "$venv/.complete" ]; then
  make_venv
fi
ln -sfn "$(basename "$venv")" "$deps/oracle"
echo "$venv/bin/python"
