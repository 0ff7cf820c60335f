#!/bin/bash
# Inside a clean Debian that systemd runs: the package from its installation to its purge. /packages has two versions of it.
# Each step says what it shows; the first that is not so ends the run.
set -euo pipefail
export LC_ALL=C.UTF-8 PAGER=cat SYSTEMD_PAGER= DEBIAN_FRONTEND=noninteractive
first=$(echo /packages/lowtide_*-1_*.deb) second=$(echo /packages/lowtide_*-2_*.deb)
config=/etc/lowtide/lowtide.yaml
data=/var/lib/lowtide

step() { printf '\n== %s\n' "$*"; }
run() {
    printf '$ %s\n' "$*"
    "$@"
}
fault() {
    echo "NOT SO: $*"
    systemctl status --no-pager lowtide || true
    journalctl --no-pager -u lowtide | tail -30 || true
    exit 1
}
property() { systemctl show --value -p "$1" lowtide; }
# soon COMMAND...: it succeeds within 30 s.
soon() {
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    fault "after 30 s: $*"
}
status_has() { property StatusText | grep -qF "$1"; }
# The key opens the API.
ask() {
    exec 3<>/dev/tcp/127.0.0.1/8000
    printf 'GET /v1/files HTTP/1.1\r\nHost: lowtide\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n' "$key" >&3
    local line
    read -r line <&3
    echo "$line"
    exec 3>&-
    [[ $line == "HTTP/1.1 200"* ]] || fault "the key opens the API"
}

step "install"
run apt-get install -y --no-install-recommends "$first"
[ "$(property ActiveState)" = active ] || fault "the service runs after the installation"
[ "$(property UnitFileState)" = enabled ] || fault "the service starts with the machine"
run lowtide --version
run lowtide health --ready
run systemctl status --no-pager lowtide
[ "$(property User)" = lowtide ] && [ "$(stat -c %U /proc/"$(property MainPID)")" = lowtide ] || fault "it runs as lowtide"
[ "$(stat -c '%U:%a' $data)" = lowtide:700 ] || fault "its data is its own"
[ "$(property LimitNOFILE)" = 65536 ] || fault "LimitNOFILE"
! journalctl --no-pager -u lowtide | grep -q 'sk-' || fault "no key is in the journal"
run systemd-analyze security --no-pager lowtide --threshold=20 | tail -1

step "the console is in it"
exec 3<>/dev/tcp/127.0.0.1/8000
printf 'GET /console/ HTTP/1.1\r\nHost: lowtide\r\nConnection: close\r\n\r\n' >&3
grep -q '<title>lowtide' <&3 || fault "the console is served"
exec 3>&-

step "pages, which lead to each other"
pages=/usr/share/doc/lowtide
for page in $pages/*.md $pages/docs/*.md; do
    for link in $(grep -o ']([^)#:]*' "$page" | cut -c 3-); do
        [ -e "$(dirname "$page")/$link" ] || fault "$page leads to $link"
    done
done
[ -s $pages/docs/transcripts/one-command.txt ] || fault "pages and what they lead to"
for name in htm preact uPlot; do grep -qi $name $pages/copyright || fault "copyright says whose $name is"; done

step "a key, beside the running service"
key=$(lowtide key create --org default --data $data)
[ -z "$(find $data ! -user lowtide)" ] || fault "what root made there belongs to lowtide"
run ask

step "reload"
run cat $config
sed -i 's|http://127.0.0.1:8080/v1|http://127.0.0.1:8081/v1|' $config
run systemctl reload lowtide
soon status_has 'has read its configuration anew'
journalctl --no-pager -u lowtide | grep -q 'config.reloaded.*changed=' || fault "the log says what changed"
cp $config /tmp/good.yaml
echo 'listen: 1' >>$config
run systemctl reload lowtide || true
soon status_has 'has a mistake'
journalctl --no-pager -u lowtide | grep 'config.reload_failed' | tail -1
[ "$(property ActiveState)" = active ] || fault "a mistake changes nothing"
cp /tmp/good.yaml $config

step "killed: it starts again"
before=$(property MainPID)
run kill -9 "$before"
soon lowtide health --ready
[ "$(property MainPID)" != "$before" ] || fault "another process"
run ask

step "a wrong configuration: refused, and not tried for ever"
echo 'listen: 1' >>$config
run systemctl restart lowtide || true
soon test "$(property ActiveState)" = failed
journalctl --no-pager -u lowtide | grep 'listen' | tail -1
[ "$(property NRestarts)" = 0 ] || fault "it is not started again and again"
cp /tmp/good.yaml $config
run systemctl reset-failed lowtide
run systemctl start lowtide

step "upgrade"
before=$(property MainPID)
run apt-get install -y --no-install-recommends "$second"
dpkg-query -W -f '${Version}\n' lowtide
soon lowtide health --ready
[ "$(property MainPID)" != "$before" ] || fault "the upgrade restarts the service"
grep -q 8081 $config || fault "the configuration is as it was edited"
run ask

step "remove"
run apt-get remove -y lowtide
! systemctl is-active lowtide || fault "the service has ended"
[ -s $data/meta.db ] && grep -q 8081 $config && id lowtide || fault "data, configuration and user stay"

step "install again: the same data"
run apt-get install -y --no-install-recommends "$second"
soon lowtide health --ready
run ask

step "purge"
run apt-get purge -y lowtide
[ ! -e $data ] && [ ! -e /etc/lowtide ] || fault "data and configuration are gone"
id lowtide || fault "the user stays"
left=$(find / -xdev -name '*lowtide*' ! -path '/packages/*' ! -path '/proc/*' ! -path '/var/log/*' ! -path '/var/cache/*' \
    ! -path '/tmp/*' ! -path '/run/*' ! -path '/var/lib/systemd/*')
[ -z "$left" ] || fault "nothing else is left: $left"

step "all as it should be"
