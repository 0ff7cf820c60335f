#!/usr/bin/env bash
# Builds the Debian package: build/deb/lowtide_VERSION_ARCH.deb. The sources are copied, so that the tree stays as it is and what
# is not yet committed is in it; the version is meson.build's, with LOWTIDE_REVISION (1) behind it.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)-${LOWTIDE_REVISION:-1}
out=build/deb
tree=$out/lowtide
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}

# The files of the tree; without git (a container's build) all of it is sources. npm packages are the console's.
sources() {
    if [ -e .git ]; then
        git ls-files -z --cached --others --exclude-standard |
            while IFS= read -r -d '' file; do if [ -f "$file" ]; then printf '%s\0' "$file"; fi; done
    else
        find . -path './build*' -prune -o -path ./.venv -prune -o -name node_modules -prune -o -type f -printf '%P\0'
    fi
    if [ -d console/node_modules ]; then find console/node_modules/ -type f -print0; fi
}

rm -rf "$tree"
mkdir -p "$tree"
sources | xargs -0 cp --parents -t "$tree"
mv "$tree/packaging/debian" "$tree/debian"
cat >"$tree/debian/changelog" <<END
lowtide ($version) unstable; urgency=medium

  * CHANGELOG.md says what is new.

 -- lowtide developers <lowtide@lowtide.invalid>  $(LC_ALL=C date -u -R -d "@$epoch")
END

(cd "$tree" && DEB_BUILD_OPTIONS="${DEB_BUILD_OPTIONS:-parallel=2}" dpkg-buildpackage -b -us -uc) \
    >"$out/build.log" 2>&1 || { tail -40 "$out/build.log"; exit 1; }
package=$(find "$out" -maxdepth 1 -name "lowtide_${version}_*.deb")
lintian --fail-on error --tag-display-limit 0 "$package"
echo "$package"
