# Shared by the scripts beside it; sourced, not run. Sets `root` and `deps`, defines a few functions.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=${WEFT_DEPS:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/weft}
libtorch=$deps/libtorch-2.11.0
arrow=$deps/arrow-26.0.1
# Nothing here asks questions: a command that reads its input sees the end of it at once.
exec </dev/null

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }

die() {
  printf '%s: error: %s\n' "$(basename "$0" .sh)" "$*" >&2
  exit 1
}

# as_root COMMAND…: runs it as root, by sudo where needed; fails when neither is possible.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    return 1
  fi
}

# Debian's own python3 where there is one: pip there is the one setup.sh installs.
system_python() {
  local candidate
  for candidate in /usr/bin/python3 "$(command -v python3 || true)"; do
    if [ -x "$candidate" ] && "$candidate" -m pip --version >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  die "python3 with pip is missing. Install the Debian packages python3-pip and python3-venv."
}

# Number of compile jobs: one per core, and 2 GiB of memory for each.
build_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemAvailable/ {print int($2 / 2097152)}' /proc/meminfo)
  if [ "$memory" -lt 1 ]; then memory=1; fi
  echo $((cores < memory ? cores : memory))
}

# with_lock NAME: holds a lock in the dependency folder until the script ends, so that two set-ups
# at once do the work once.
with_lock() {
  mkdir -p "$deps" || die "cannot make the folder $deps. Set WEFT_DEPS to a folder you can write."
  exec 9>"$deps/.$1.lock"
  if ! flock -n 9; then
    say "another process is preparing $deps; waiting for it"
    flock 9
  fi
}
