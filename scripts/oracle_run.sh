#!/usr/bin/env bash
# Runs a Python script with the environment that scripts/oracle.sh made: oracle_run.sh SCRIPT [ARG…].
# Leaves with 77, which ctest counts as skipped, where there is none.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

python=${WEFT_ORACLE_PYTHON:-$deps/oracle/bin/python}
if [ ! -x "$python" ]; then
  say "skipped: there is no Python environment at $python; scripts/oracle.sh makes it"
  exit 77
fi
export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec "$python" "$@"
