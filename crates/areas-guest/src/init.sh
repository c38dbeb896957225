#!/bin/sh
# The first process of the guest that `cargo xtask vm` boots (busybox sh): makes the system a test
# expects, runs /run.sh with its output on two virtio ports, reports to the host how it ended on a
# third, and turns the machine off. /vm.conf (MODULES, SWAP, OUT) and /run.sh come from the host,
# see image.rs.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root TMPDIR=/tmp
# A guest test that finds itself elsewhere can notice it, and say that it was skipped.
export AREAS_GUEST=1

say() { echo "init: $*" >/dev/console; }

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /dev/hugepages
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=755 run /run
mount -t hugetlbfs hugetlbfs /dev/hugepages
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null

MODULES= SWAP= OUT=
. /vm.conf

# load NAME[:PARAMETER,PARAMETER…], after what it depends on (/lib/modules/deps has lines "name:
# dependency…").
load() {
    local name=${1%%:*} dependency parameters=
    case $1 in *:*) parameters=$(echo "${1#*:}" | tr , ' ') ;; esac
    for dependency in $(sed -n "s/^$name: //p" /lib/modules/deps); do load "$dependency"; done
    [ -f "/lib/modules/$name.ko" ] && insmod "/lib/modules/$name.ko" $parameters 2>/dev/null
}
# Kernels that have these built in have no such file, and nothing happens.
for module in virtio_pci virtio_console ${SWAP:+nvme} $MODULES; do load "$module"; done

# The device of the virtio port called NAME.
port() {
    local each
    for each in /sys/class/virtio-ports/*; do
        if [ "$(cat "$each/name" 2>/dev/null)" = "$1" ] && [ -c "/dev/${each##*/}" ]; then
            echo "/dev/${each##*/}"
            return 0
        fi
    done
    return 1
}
tries=0
until STATUS=$(port status) && STDOUT=$(port stdout) && STDERR=$(port stderr) && TAR=$(port tar); do
    tries=$((tries + 1))
    if [ $tries -gt 400 ]; then
        say "the virtio ports do not appear"
        poweroff -f
    fi
    sleep 0.05
done
echo "BOOTED $(cut -d' ' -f1 /proc/uptime)" >"$STATUS"

if [ -n "$SWAP" ]; then
    tries=0
    until [ -b /dev/nvme0n1 ] || [ $tries -gt 100 ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
    { mkswap /dev/nvme0n1 && swapon /dev/nvme0n1; } >/dev/null 2>&1 || say "no swap"
fi

hostname areas-guest
ip link set lo up 2>/dev/null
ulimit -c 0
mkdir -p /out
chmod 1777 /out
cd /payload || poweroff -f
sh /run.sh >"$STDOUT" 2>"$STDERR" </dev/null
code=$?

[ -n "$OUT" ] && tar -C /out -cf "$TAR" . 2>/dev/null
echo "EXIT $code $(cut -d' ' -f1 /proc/uptime)" >"$STATUS"
sync
poweroff -f
