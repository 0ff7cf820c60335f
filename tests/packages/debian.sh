# For run.sh and clean-room.sh: a clean Debian in a directory, from the archive that this machine's apt uses.

# debian_make SUITE ROOT [PACKAGES]: made once; ROOT.ready says that it is whole.
debian_make() {
    local suite=$1 root=$2 more=${3:-} archive
    [ -e "$root.ready" ] && return
    echo "packages: mmdebstrap $suite"
    archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' 'Origin: Debian' | head -n 1)
    rm -rf "$root"
    mmdebstrap --quiet --variant=minbase ${more:+--include="$more"} "$suite" "$root" "deb $archive $suite main"
    touch "$root.ready"
}

# debian_copy FROM TO: with this machine's name servers.
debian_copy() {
    rm -rf "$2"
    cp -a "$1" "$2"
    cp /etc/resolv.conf "$2/etc/resolv.conf"
}
