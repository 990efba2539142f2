#!/usr/bin/env bash
# A Slurm cluster of this one host, as long as a command runs in it:
#
#   one_node_slurm.sh FOLDER COMMAND…     FOLDER: new, for its files and logs
#
# Exit code 77: it can't be had here (not root, or Slurm or munge is not installed). Ports are chosen by the process number,
# so that two of them do not meet.
set -u
folder=$1
shift
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 77; }
for program in munged slurmctld slurmd srun; do
  PATH=$PATH:/usr/sbin command -v $program >/dev/null || { echo "needs $program" >&2; exit 77; }
done
PATH=$PATH:/usr/sbin
mkdir -p "$folder"/{state,spool,munge}
chmod 0711 "$folder" "$folder"/munge
host=$(hostname -s)
port=$((32000 + $$ % 700 * 4))

dd if=/dev/urandom of="$folder/munge/key" bs=1024 count=1 2>/dev/null
chmod 0400 "$folder/munge/key"
cat >"$folder/slurm.conf" <<END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:8
END
export SLURM_CONF=$folder/slurm.conf

munged --foreground --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
  --pid-file="$folder/munge/pid" --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" \
  >/dev/null 2>&1 &
munge_pid=$!
trap 'kill $munge_pid $ctld_pid $slurmd_pid 2>/dev/null; wait 2>/dev/null' EXIT
ctld_pid=
slurmd_pid=
for _ in $(seq 50); do [ -S "$folder/munge/socket" ] && break; sleep 0.1; done
slurmctld -D -f "$SLURM_CONF" >/dev/null 2>&1 &
ctld_pid=$!
slurmd -D -f "$SLURM_CONF" -N "$host" >/dev/null 2>&1 &
slurmd_pid=$!
for _ in $(seq 100); do
  sinfo -h -o %T 2>/dev/null | grep -q idle && break
  sleep 0.1
done
if ! sinfo -h -o %T 2>/dev/null | grep -q idle; then
  echo "the node did not come up; see $folder" >&2
  tail -n 5 "$folder"/*.log >&2
  exit 77
fi
"$@"
