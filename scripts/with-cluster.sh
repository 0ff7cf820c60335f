#!/usr/bin/env bash
# Runs a measurement with what nodes share: PostgreSQL, and an S3 store. The store is versitygw: the program that
# LOWTIDE_VERSITYGW names, or one that Go makes into build/bench/. Where there is neither it is moto, which is
# slow.
#
#   scripts/with-cluster.sh COMMAND [ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."

made=$PWD/build/bench/versitygw
if [ -z "${LOWTIDE_VERSITYGW:-}" ]; then
    if ! [ -x "$made" ] && command -v go >/dev/null; then
        echo "with-cluster: go install versitygw (into build/bench)" >&2
        GOBIN=$PWD/build/bench timeout 600 go install github.com/versity/versitygw/cmd/versitygw@v1.8.0 >&2 || true
    fi
    if [ -x "$made" ]; then export LOWTIDE_VERSITYGW=$made; fi
fi
exec scripts/with-postgres.sh scripts/with-s3.sh "$@"
