# For guest-run.sh and guest-python.sh, inside a clean Debian: what is typed and what is said.

show() {
    printf '\n$ %s\n' "$*"
    eval "$*"
    local code=$?
    [ $code = 0 ] || echo "[exit code $code]"
}

# quietly COMMAND: says nothing unless it fails.
quietly() {
    "$@" >/root/quietly.log 2>&1 || { tail -20 /root/quietly.log; exit 1; }
    rm /root/quietly.log
}

debian_install() {
    quietly apt-get update -qq
    quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
