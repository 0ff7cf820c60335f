#!/usr/bin/env bash
# Runs a command with an S3-compatible store of its own, moto's server, which checks signatures:
# LOWTIDE_TEST_S3 says where it is, as "ENDPOINT ACCESS_KEY SECRET_KEY BUCKET". It keeps all in memory and is
# gone with the command. Where there is no moto the variable is not set, and the tests that need a store
# say that they are left out.
#
#   scripts/with-s3.sh COMMAND [ARGUMENT...]
set -uo pipefail

python=$(dirname "$0")/../.venv/bin/python
"$python" -c 'import moto.server' 2>/dev/null || exec "$@"
place=$(mktemp -d /tmp/lowtide-s3-XXXXXX)
PYTHONPATH=$(dirname "$0")/../tests "$python" -m support.s3 "$place/where" >"$place/log" 2>&1 &
server=$!

finish() {
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    rm -rf "$place"
}
trap finish EXIT

while kill -0 "$server" 2>/dev/null && ! [ -s "$place/where" ]; do sleep 0.1; done
if [ -s "$place/where" ]; then
    LOWTIDE_TEST_S3=$(cat "$place/where")
    export LOWTIDE_TEST_S3
else
    echo "with-s3: no store: $(tail -n 1 "$place/log")" >&2
fi
"$@"
