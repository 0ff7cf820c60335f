#!/usr/bin/env bash
# boot.sh ROOT PACKAGES COMMAND...: boots the Debian in ROOT with its own systemd, in namespaces of its own (all but the network's),
# with PACKAGES at /packages, runs COMMAND inside and returns its exit status. As root; systemd-nspawn would want a systemd outside.
set -euo pipefail
root=$(realpath "$1") packages=$(realpath "$2")
shift 2

# The container's process 1, from the mounts to systemd.
init() {
    mount --make-rprivate /
    mount --bind "$root" "$root"
    cd "$root"
    mount -t proc proc proc
    mount --bind proc/sys proc/sys
    mount -o remount,bind,ro proc/sys
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs run
    mount -t tmpfs -o mode=755 tmpfs dev
    mkdir -p dev/pts dev/shm packages
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    for node in null:3 zero:5 full:7 random:8 urandom:9; do
        mknod -m 666 "dev/${node%:*}" c 1 "${node#*:}"
    done
    mknod -m 666 dev/tty c 5 0
    mount --bind "$packages" packages
    hostname lowtide-test
    pivot_root . mnt
    umount -l /mnt
    exec env -i container=lowtide-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /sbin/init >/run/console 2>&1 </dev/null
}

if [ "${IN_NAMESPACES:-}" = yes ]; then
    init
fi

# A cgroup of its own, which the systemd inside takes for the root of all.
tree=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
group=$tree/lowtide-packages-$$
mkdir "$group"

(
    echo $BASHPID >"$group/cgroup.procs"
    IN_NAMESPACES=yes exec unshare --mount --uts --ipc --pid --cgroup --fork --kill-child "$0" "$root" "$packages"
) &
outer=$!

first=
leave() {
    [ -z "$first" ] || kill -9 "$first" 2>/dev/null || true
    wait "$outer" 2>/dev/null || true
    for _ in $(seq 50); do
        find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        [ -d "$group" ] || break
        sleep 0.1
    done
}
trap leave EXIT

inside() { nsenter -t "$first" --mount --uts --ipc --pid --cgroup --root -- env -i -C / PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }

for _ in $(seq 300); do
    first=$(cat /proc/$outer/task/$outer/children 2>/dev/null | tr -d ' ') || true
    if [ -n "$first" ] && [ "$(cat "/proc/$first/comm")" = systemd ] && inside systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; then
        break
    fi
    sleep 0.1
done
[ -n "$first" ] || { echo "boot: no process 1" >&2; exit 1; }
inside systemctl is-system-running || true
inside systemctl --no-pager --failed
inside "$@"
