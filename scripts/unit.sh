#!/usr/bin/env bash
# Runs the C tests of build-test/ and prints cmocka's own closing lines, which meson keeps to itself.
set -uo pipefail
cd "$(dirname "$0")/.."

export UBSAN_OPTIONS=print_stacktrace=1
scripts/with-postgres.sh scripts/with-s3.sh meson test -C build-test --no-rebuild --print-errorlogs --timeout-multiplier 4
status=$?
grep -E '^\[(==========|  PASSED  |  FAILED  )\] [0-9]+ test' build-test/meson-logs/testlog.txt
exit $status
