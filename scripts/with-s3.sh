#!/usr/bin/env bash
# Runs a command with an S3-compatible store of its own which checks signatures: LOWTIDE_TEST_S3 says where
# it is, as "ENDPOINT ACCESS_KEY SECRET_KEY BUCKET". It is gone with the command, and so is what it keeps. It
# is moto's server, in memory, where there is one; or the program versitygw that LOWTIDE_VERSITYGW names, in
# a scratch directory, which does three times as much and more. Where there is neither the variable is not
# set, and the tests that need a store say that they are left out.
#
#   scripts/with-s3.sh COMMAND [ARGUMENT...]
set -uo pipefail

python=$(dirname "$0")/../.venv/bin/python
gateway=${LOWTIDE_VERSITYGW:-}
[ -n "$gateway" ] || "$python" -c 'import moto.server' 2>/dev/null || exec "$@"
place=$(mktemp -d /tmp/lowtide-s3-XXXXXX)

start_moto() {
    PYTHONPATH=$(dirname "$0")/../tests "$python" -m support.s3 "$place/where" >"$place/log" 2>&1 &
    server=$!
}

# Its port is free when it is drawn; whoever takes it meanwhile is not a store, and the command goes without.
start_gateway() {
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    mkdir -p "$place/data/unit"
    ROOT_ACCESS_KEY=lowtide ROOT_SECRET_KEY=lowtide-secret \
        "$gateway" --port "127.0.0.1:$port" posix "$place/data" >"$place/log" 2>&1 &
    server=$!
    while kill -0 "$server" 2>/dev/null && ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do sleep 0.1; done
    kill -0 "$server" 2>/dev/null && echo "http://127.0.0.1:$port lowtide lowtide-secret unit" >"$place/where"
}

finish() {
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    rm -rf "$place"
}
trap finish EXIT

if [ -n "$gateway" ]; then start_gateway; else start_moto; fi
while kill -0 "$server" 2>/dev/null && ! [ -s "$place/where" ]; do sleep 0.1; done
if [ -s "$place/where" ]; then
    LOWTIDE_TEST_S3=$(cat "$place/where")
    export LOWTIDE_TEST_S3
else
    echo "with-s3: no store: $(tail -n 1 "$place/log")" >&2
fi
"$@"
