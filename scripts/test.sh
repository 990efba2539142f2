#!/usr/bin/env bash
# Sets up what is missing, builds everything and runs every test. Ends with ctest's own summary.
#
#   scripts/test.sh [CTEST-ARGUMENT…]      for example: scripts/test.sh -L unit
#
#   WEFT_PRESET=dev|release|asan  which build (default release; its folder is build/<preset>)
#   WEFT_ORACLE=1                 make the Python environment that tests labelled `oracle` need
#   WEFT_TEST_DATA=FOLDER         real tokenizer and data; tests that need them are else skipped
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

preset=${WEFT_PRESET:-release}
cd "$root"
scripts/setup.sh
if [ "${WEFT_ORACLE:-0}" = 1 ]; then
  # Without it the tests labelled oracle are skipped, and ctest's summary names them.
  if WEFT_ORACLE_PYTHON=$(scripts/oracle.sh); then
    export WEFT_ORACLE_PYTHON
  else
    unset WEFT_ORACLE_PYTHON
    say "warning: going on without the Python environment; tests labelled oracle are skipped"
  fi
fi

say "configuring the $preset build"
cmake --preset "$preset" >build.log 2>&1 || { cat build.log >&2; die "cmake failed; see above."; }
rm -f build.log
say "building with $(build_jobs) jobs"
cmake --build --preset "$preset" --parallel "$(build_jobs)"

# Tests that start processes or threads of their own are many; more jobs than cores would only
# make their timeouts tight.
say "testing"
# Threads that wait for work sleep instead of spinning, or two tests at once slow each other down.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
exec ctest --preset "$preset" --parallel "$(nproc)" "$@"
