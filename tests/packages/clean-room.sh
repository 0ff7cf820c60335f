#!/usr/bin/env bash
# A CSV of 2,000 real rows to a labelled CSV with one command, in a clean Debian with nothing of this repository but the package;
# then five mistakes and what is said. The model is the demo's, outside. As root, after scripts/bootstrap.sh deb test-packages demo.
# The transcript is build/packages/clean-room.txt.
#
#   tests/packages/clean-room.sh [ROWS]
set -euo pipefail
cd "$(dirname "$0")/../.."

. tests/packages/room.sh
root=$work/clean-room
[ -e "$(echo build/deb/lowtide_*.deb)" ] || scripts/deb.sh
room_make $root "${1:-2000}" build/deb/lowtide_*.deb tests/packages/shown.sh tests/packages/guest-run.sh
model_start
{
    room_enter $root bash guest-run.sh "http://127.0.0.1:$port/v1"
    rows_check $root
} | tee $work/clean-room.txt
