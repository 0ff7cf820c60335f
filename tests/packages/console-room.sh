#!/usr/bin/env bash
# The same as clean-room.sh through the console: the server in a clean Debian with nothing of this repository but the package, and
# Chromium outside (console_room.py); five mistakes on the way and what is said. As root, after scripts/bootstrap.sh deb test-packages
# demo e2e. The transcript is build/packages/console-room.txt.
#
#   tests/packages/console-room.sh [ROWS]
set -euo pipefail
cd "$(dirname "$0")/../.."

. tests/packages/room.sh
root=$work/console-room
[ -e "$(echo build/deb/lowtide_*.deb)" ] || scripts/deb.sh
room_make $root "${1:-2000}" build/deb/lowtide_*.deb
model_start
{
    .venv/bin/python tests/packages/console_room.py $root "http://127.0.0.1:$port/v1" 2>&1
    rows_check $root
} | tee $work/console-room.txt
