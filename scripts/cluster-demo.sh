#!/usr/bin/env bash
# Shows lowtide on several machines, on this one: PostgreSQL and an S3 store that checks signatures, both of
# their own and gone afterwards; three nodes behind nginx; a batch; kill -9 of a node in the middle.
# LOWTIDE_VERSITYGW names another store than moto (scripts/with-s3.sh). The model is that of `make demo`,
# where its packages are or can be had; else stand-ins answer.
#
#   scripts/cluster-demo.sh [--stand-in]
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" != --stand-in ] && ! scripts/bootstrap.sh demo; then
    echo "cluster-demo: the model's packages are not to be had; stand-ins answer instead"
fi
exec scripts/with-postgres.sh scripts/with-s3.sh .venv/bin/python demo/cluster.py "$@"
