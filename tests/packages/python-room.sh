#!/usr/bin/env bash
# The same as clean-room.sh from Python: a clean Debian with Python and nothing of this repository but the wheel, label.py and its
# five mistakes. As root, after make wheel and scripts/bootstrap.sh test-packages demo. The transcript is build/packages/python-room.txt.
#
#   tests/packages/python-room.sh [ROWS]
set -euo pipefail
cd "$(dirname "$0")/../.."

. tests/packages/room.sh
root=$work/python-room
[ -e "$(echo build/wheel/lowtide-*.whl)" ] || make wheel
room_make $root "${1:-2000}" build/wheel/lowtide-*.whl tests/packages/shown.sh tests/packages/guest-python.sh tests/packages/label.py
model_start
{
    room_enter $root bash guest-python.sh "http://127.0.0.1:$port/v1"
    rows_check $root
} | tee $work/python-room.txt
