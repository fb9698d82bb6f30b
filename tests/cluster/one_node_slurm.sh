#!/usr/bin/env bash
# A Slurm cluster of one node on this machine, as root, to try things on: in a container or a virtual machine of Debian.
#     apt-get install slurm-wlm munge
#     tests/cluster/one_node_slurm.sh start [JOBS]   JOBS (3) run at once, whatever cores there are
#     tests/cluster/one_node_slurm.sh restart        the controller alone
#     tests/cluster/one_node_slurm.sh stop
set -euo pipefail

here=/etc/slurm
state=/var/lib/one-node-slurm
mark="# written by one_node_slurm.sh"

for program in munged slurmctld slurmd scontrol; do
    command -v "$program" >/dev/null || { echo "$program is missing: apt-get install slurm-wlm munge" >&2 && exit 2; }
done
if [[ -f $here/slurm.conf ]] && ! grep -q "^$mark" "$here/slurm.conf"; then
    echo "$here/slurm.conf is that of another cluster, and stays as it is." >&2
    exit 2
fi

# Ends a daemon by the number that it wrote down, and waits until it is gone.
end() {
    local file=$state/$1.pid number
    [[ -f $file ]] || return 0
    number=$(<"$file")
    kill "$number" 2>/dev/null || true
    for _ in {1..100}; do
        kill -0 "$number" 2>/dev/null || break
        sleep 0.1
    done
    rm -f "$file"
}

controller() {
    slurmctld
    for _ in {1..100}; do
        scontrol ping 2>/dev/null | grep -q "is UP" && return
        sleep 0.2
    done
    echo "slurmctld does not answer: $state/slurmctld.log" >&2
    exit 1
}

configure() {
    mkdir -p "$here" "$state/controller" "$state/node"
    cat >"$here/slurm.conf" <<EOF
$mark
ClusterName=one
SlurmctldHost=$(hostname -s)
SlurmUser=root
AuthType=auth/munge
# Without systemd there are no control groups to hand out.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=5
SlurmctldPidFile=$state/slurmctld.pid
SlurmdPidFile=$state/slurmd.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmdLogFile=$state/slurmd.log
StateSaveLocation=$state/controller
SlurmdSpoolDir=$state/node
# More processors than there may be, so that several jobs run at once.
SlurmdParameters=config_overrides
NodeName=$(hostname -s) CPUs=$1 RealMemory=$(awk '/MemTotal/ {print int($2 / 2048)}' /proc/meminfo) State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
    echo "IgnoreSystemd=yes" >"$here/cgroup.conf"
}

case ${1:-} in
    start)
        configure "${2:-3}"
        mkdir -p /run/munge && chown munge: /run/munge
        [[ -f /etc/munge/munge.key ]] || mungekey --create
        if ! munge -n >/dev/null 2>&1; then
            runuser -u munge -- munged --pid-file "/run/munge/one-node.pid"
            ln -sf /run/munge/one-node.pid "$state/munged.pid"
        fi
        controller
        slurmd
        scontrol update NodeName="$(hostname -s)" State=RESUME 2>/dev/null || true
        sinfo
        ;;
    restart)
        end slurmctld
        controller
        ;;
    stop)
        end slurmd
        end slurmctld
        end munged
        rm -f "$here/slurm.conf" "$here/cgroup.conf"
        ;;
    *)
        sed -n '2,6p' "$0"
        exit 2
        ;;
esac
