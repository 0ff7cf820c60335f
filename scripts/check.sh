#!/usr/bin/env bash
# Static checks of all C: layout (clang-format), bugs (clang-tidy, cppcheck). Each prints its
# findings; the exit status is 1 if there was any.
#
#   scripts/check.sh            check
#   scripts/check.sh format     lay the files out instead
set -uo pipefail
cd "$(dirname "$0")/.."

failed=

run() {
    local name=$1
    shift
    if "$@"; then
        echo "check: $name: nothing found"
    else
        echo "check: $name: FAILED"
        failed=yes
    fi
}

mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.c' '*.h' |
    while read -r file; do [ -f "$file" ] && echo "$file"; done)

if [ "${1:-}" = format ]; then
    exec clang-format -i "${files[@]}"
fi

# The checkers see what the compiler sees: tests, failpoints and generated sources included.
BUILD=build-test
ninja -C $BUILD >/dev/null || exit 1

tidy() {
    # -quiet still counts the warnings of system headers that it does not show: those lines go.
    run-clang-tidy -quiet -p $BUILD "$PWD/(src|tests|bench)/.*" >$BUILD/tidy.log 2>$BUILD/tidy.err
    local status=$?
    grep -vE '^$|^clang-tidy |^[0-9]+ warnings? generated' $BUILD/tidy.log
    return $status
}

# cppcheck 2.10 knows neither __VA_OPT__ nor __attribute__((cleanup)): the first is defined away,
# what it then says of leaks and of unset variables is left to clang-tidy, gcc and ASan.
cppcheck_all() {
    mkdir -p $BUILD/cppcheck
    cppcheck --project=$BUILD/compile_commands.json -j "$(nproc)" --quiet --error-exitcode=1 \
        --cppcheck-build-dir=$BUILD/cppcheck \
        --enable=warning,performance,portability --inline-suppr '-D__VA_OPT__(...)=' \
        --suppress=memleak --suppress=resourceLeak --suppress=uninitvar \
        --suppress=missingIncludeSystem --suppress="*:$BUILD/*"
}

run clang-format clang-format --dry-run -Werror "${files[@]}"
run clang-tidy tidy
run cppcheck cppcheck_all
[ -z "$failed" ]
