#!/usr/bin/env bash
# weft under torchrun, which is part of the torch wheel (pip install torch==2.11.0). On one node:
#
#   scripts/cluster/torchrun.sh configs/run.yaml [key=value …]
#
# On several, the same on each of them, with the first node's address:
#
#   NNODES=4 RDZV=node0:29400 scripts/cluster/torchrun.sh configs/run.yaml
#
#   NPROC=8         ranks on this node (default: its GPUs, or 1)
#   NNODES=4        nodes; "2:4" lets the run go on with two to four of them
#   MAX_RESTARTS=10 how often a failed run is started again (default 3); weft goes on from its newest
#                   checkpoint, and ends with exit code 6 when restarts bring no new one
set -euo pipefail

gpus() { nvidia-smi -L 2>/dev/null | grep -c . || true; }
nproc=${NPROC:-$(gpus)}
[ "$nproc" -gt 0 ] || nproc=1

rendezvous=(--standalone)
if [ "${NNODES:-1}" != 1 ]; then
  rendezvous=(--nnodes="$NNODES" --rdzv-backend=c10d --rdzv-id="${RDZV_ID:-weft}"
    --rdzv-endpoint="${RDZV:?RDZV: the first node as HOST:PORT}")
fi
# --no-python: weft is a program of its own.
exec torchrun --no-python --nproc-per-node="$nproc" --max-restarts="${MAX_RESTARTS:-3}" \
  "${rendezvous[@]}" "${WEFT:-weft}" train "$@"
