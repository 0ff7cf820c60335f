#!/usr/bin/env bash
# Installs what a goal of the Makefile needs and the machine lacks: Debian packages by apt-get
# (with sudo when not root), Python packages into .venv (those that stand beside the wheel into
# build/python), npm packages into console and tests/node.
# Says what it installs; silent and quick when nothing is missing.
#
#   scripts/bootstrap.sh [build|check|unit|e2e|wheel|python|demo|cluster-demo|bench|bench-scheduling|
#       bench-cluster|chaos|deb|test-packages]...
set -euo pipefail
cd "$(dirname "$0")/.."

COMPILE="gcc libc6-dev make meson ninja-build pkg-config libcurl4-openssl-dev
    libnghttp2-dev libpq-dev libsqlite3-dev libssl-dev libyaml-dev libjansson-dev libxxhash-dev zlib1g-dev
    libexpat1-dev"
INSTALLED="bash zsh fish man-db mandoc systemd"
DEB="build-essential debhelper dpkg-dev lintian"
BROWSER="chromium fonts-noto-cjk"

say() { printf 'bootstrap: %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "not root and no sudo; as root, run: $*" >&2
        exit 1
    fi
}

# Prints those of its arguments that are not installed. What another package provides (pkg-config
# is pkgconf on newer Debians) counts as installed.
debian_missing() {
    local installed
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Provides}\n' |
        sed -n 's/^ii *//p' | sed 's/([^)]*)//g' | tr -s ', ' '\n\n')
    printf '%s\n' "$@" | sort -u | grep -vxFf <(printf '%s\n' "$installed") || true
}

debian_install() {
    local missing
    missing=$(debian_missing "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    say "apt-get install $missing"
    as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of names
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing </dev/null >/dev/null
}

# The first python3 on PATH that can make a virtual environment; Debian's own needs python3-venv.
python_find() {
    local python
    for python in python3 /usr/bin/python3; do
        if command -v "$python" >/dev/null && "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    debian_install python3 python3-venv >&2
    echo /usr/bin/python3
}

# python_install NAME FILE [VENV]: the packages listed in FILE are in VENV, or .venv. A copy of FILE
# in there says that they are, so that looking costs no start of pip.
python_install() {
    local name=$1 list=$2 venv=${3:-.venv}
    local stamp=$venv/installed-$name
    if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
        say "python3 -m venv $venv"
        rm -rf "$venv"
        "$(python_find)" -m venv "$venv"
    fi
    cmp -s "$list" "$stamp" && return
    say "pip install -r $list (into $venv, for $name)"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-input -r "$list"
    cp "$list" "$stamp"
}

# npm from Debian brings hundreds of packages: only where there is neither.
node_install() {
    local folder=$1 stamp=$1/node_modules/installed
    cmp -s "$folder/package-lock.json" "$stamp" && return
    command -v npm >/dev/null || debian_install npm
    say "npm ci (in $folder)"
    (cd "$folder" && npm ci --loglevel=error --no-audit --no-fund --no-update-notifier </dev/null >/dev/null)
    cp "$folder/package-lock.json" "$stamp"
}

# What the console is made of; CONSOLE=disabled builds without it.
console_install() {
    [ "${CONSOLE:-enabled}" = disabled ] || node_install console
}

# apt's own lists are the demo's input. `update` is needed where an image was stripped of them.
lists_fetch() {
    [ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -print -quit)" ] && return
    say "apt-get update"
    as_root apt-get update -qq
}

for goal in "${@:-build}"; do
    # shellcheck disable=SC2086 # lists of names
    case $goal in
    build)
        debian_install $COMPILE
        console_install
        ;;
    check) debian_install $COMPILE clang-format clang-tidy cppcheck ;;
    bench) # nginx: https upstreams, downloads
        debian_install $COMPILE wrk python3 nginx-light openssl
        ;;
    bench-scheduling) # the demo's model is one of the engines
        debian_install $COMPILE python3
        python_install demo demo/requirements.txt
        ;;
    cluster-demo | bench-cluster) # the client, and the S3 store, are of the tests
        debian_install $COMPILE python3 postgresql nginx-light
        python_install tests tests/requirements.txt
        ;;
    chaos)
        debian_install $COMPILE libcmocka-dev python3 postgresql
        python_install tests tests/requirements.txt
        ;;
    unit) debian_install $COMPILE libcmocka-dev postgresql ;;
    e2e) # the official clients are in Python and in JavaScript; https upstreams are nginx; what
        # `make install` brings is looked at by mandoc, systemd and three shells; the console in
        # Chromium, whose pictures of it have Chinese letters
        debian_install $COMPILE libcmocka-dev postgresql nginx-light openssl python3 $INSTALLED $BROWSER
        python_install tests tests/requirements.txt
        command -v node >/dev/null || debian_install nodejs
        node_install tests/node
        ;;
    wheel)
        debian_install $COMPILE python3 binutils git
        python_install wheel python/requirements.txt
        ;;
    python) python_install tests tests/python/requirements.txt build/python ;;
    deb) debian_install $COMPILE $DEB python3 ;;
    test-packages) debian_install $COMPILE $DEB python3 mmdebstrap ;;
    demo)
        debian_install $COMPILE python3
        lists_fetch
        python_install demo demo/requirements.txt
        ;;
    *)
        say "no goal '$goal'; there are build, check, unit, e2e, wheel, python, demo, cluster-demo, bench, bench-scheduling, bench-cluster, chaos, deb, test-packages" >&2
        exit 2
        ;;
    esac
done
