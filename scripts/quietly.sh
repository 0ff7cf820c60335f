#!/usr/bin/env bash
# quietly.sh TEXT COMMAND...: says TEXT, runs COMMAND, and shows what it printed only if it failed.
set -uo pipefail

printf '%s ... ' "$1"
shift
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
if "$@" >"$log" 2>&1 </dev/null; then
    echo done
else
    status=$?
    echo failed
    cat "$log" >&2
    exit $status
fi
