#!/usr/bin/env bash
# Runs a command with a PostgreSQL of its own: LOWTIDE_TEST_POSTGRES says where it is. It listens on a
# socket in a scratch directory alone, and is gone with the command. Where the machine has no PostgreSQL
# the variable is not set, and the tests that need one say that they are left out.
#
#   scripts/with-postgres.sh COMMAND [ARGUMENT...]
set -uo pipefail

bin=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || exec "$@"
bin=$(dirname "$bin")
place=$(mktemp -d /tmp/lowtide-postgres-XXXXXX)

# The server refuses to run as root.
as_owner() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && runuser -u postgres -- "$@")
    else
        "$@"
    fi
}

finish() {
    as_owner "$bin/pg_ctl" -D "$place/data" -m immediate stop >/dev/null 2>&1
    rm -rf "$place"
}

[ "$(id -u)" != 0 ] || chown postgres "$place"
trap finish EXIT
if as_owner "$bin/initdb" -D "$place/data" -A trust -E UTF8 --locale=C.UTF-8 -N >"$place/log" 2>&1 &&
    printf '%s\n' "unix_socket_directories = '$place'" "listen_addresses = ''" 'fsync = off' \
        'max_connections = 400' >>"$place/data/postgresql.conf" &&
    as_owner "$bin/pg_ctl" -D "$place/data" -w -l "$place/data/log" start >"$place/log" 2>&1; then
    user=$([ "$(id -u)" = 0 ] && echo postgres || id -un)
    export LOWTIDE_TEST_POSTGRES="host=$place user=$user dbname=postgres"
else
    echo "with-postgres: no PostgreSQL: $(tail -n 1 "$place/log")" >&2
fi
"$@"
