#!/usr/bin/env bash
# ThreadSanitizer over the unit tests and those end-to-end tests that have most threads at work: lines,
# cancels, online requests, reloads, drains, kills and restarts, nodes. Any report fails: it ends a program
# with a status of its own, and tests/support/server.py looks for it in every server's output.
#
#   scripts/tsan.sh [PYTEST-ARGUMENT...]     -k cancel
#
# There are no suppressions: libcurl and SQLite, which are not instrumented, synchronise
# by calls that ThreadSanitizer sees.
set -uo pipefail
cd "$(dirname "$0")/.."

BUILD=build-tsan
test -f $BUILD/build.ninja || meson setup $BUILD \
    -Db_sanitize=thread -Dfailpoints=true -Dtests=enabled -Dwerror=true >/dev/null || exit 1
ninja --quiet -C $BUILD || exit 1

# gcc 12's runtime needs the address space as it was when it was made: kernels that scatter it wider
# since then end one start in a few. Where that cannot be switched off, it is tried as it is.
prefix=()
setarch -R true 2>/dev/null && prefix=(setarch -R)

export TSAN_OPTIONS=exitcode=86:second_deadlock_stack=1
status=0
# The fuzz targets and the sweeps of allocations have one thread, and build-test/ for them.
"${prefix[@]}" meson test -C $BUILD --no-rebuild --no-suite fuzz --no-suite memory \
    --print-errorlogs --quiet --timeout-multiplier 5 || status=1
# ThreadSanitizer's own memory is what the deselected test would measure.
LOWTIDE_BIN=$PWD/$BUILD/lowtide "${prefix[@]}" .venv/bin/python -m pytest -q -n 4 \
    tests/e2e/test_{running,states,online,reload,drain,crash,nodes}.py \
    --deselect test_online.py::test_13_ten_thousand_idle_connections "$@" || status=1
exit $status
