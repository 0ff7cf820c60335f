#!/usr/bin/env bash
# The Debian package in clean Debians that systemd runs: installed, reloaded, killed, upgraded, removed and purged (guest.sh).
#
#   tests/packages/run.sh [bookworm|trixie]...      as root; both without arguments
#
# Works below build/packages; each run is written to build/packages/SUITE.log, too.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=build/packages
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)

. tests/packages/debian.sh

mkdir -p $work/debs
rm -f $work/debs/*
scripts/deb.sh
cp build/deb/lowtide_*-1_*.deb $work/debs/
# The second version: the same with another number, for what an upgrade does.
rm -rf $work/second
dpkg-deb -R $work/debs/lowtide_*-1_*.deb $work/second
sed -i 's/^\(Version: .*\)-1$/\1-2/' $work/second/DEBIAN/control
dpkg-deb --root-owner-group -b $work/second $work/debs/
cp tests/packages/guest.sh $work/debs/

status=0
for suite in "${suites[@]}"; do
    debian_make "$suite" "$work/base-$suite" systemd,systemd-sysv,dbus
    debian_copy "$work/base-$suite" $work/root
    chroot "$work/root" apt-get update -qq
    if tests/packages/boot.sh $work/root $work/debs /packages/guest.sh >"$work/$suite.log" 2>&1; then
        echo "packages: $suite: installed, reloaded, killed, upgraded, removed, purged: $work/$suite.log"
    else
        echo "packages: $suite: FAILED"
        tail -40 "$work/$suite.log"
        status=1
    fi
    rm -rf "$work/root"
done
exit $status
