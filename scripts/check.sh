#!/usr/bin/env bash
# Checks of all C: walls between folders and modules (scripts/walls.py), layout (clang-format), bugs
# (clang-tidy, cppcheck), races between threads (ThreadSanitizer, scripts/tsan.sh). Each prints its findings; the exit status is 1 if there was any.
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
    while read -r file; do if [ -f "$file" ]; then echo "$file"; fi; done)

if [ "${1:-}" = format ]; then
    exec clang-format -i "${files[@]}"
fi

# The checkers see what the compiler sees: tests, failpoints and generated sources included.
BUILD=build-test
ninja --quiet -C $BUILD || exit 1

# The places alone: what to do about them is `make format`.
layout() {
    local log=$BUILD/layout.log
    clang-format --dry-run -Werror "${files[@]}" 2>$log && return
    sed -n 's/^\([^: ]*:[0-9]*\):.*clang-format-violations.*/\1: make format would change this/p' \
        $log | uniq
    return 1
}

# One clang-tidy a file that is compiled, as many at a time as there are cores.
tidy() {
    (cd $BUILD && sed -n 's/^ *"file": "\(.*\.c\)",*$/\1/p' compile_commands.json | sort -u |
        xargs -P "$(nproc)" -n 1 clang-tidy -quiet -p . 2>tidy.err)
}

# cppcheck 2.10 knows neither __VA_OPT__ nor __attribute__((cleanup)): the first is defined away,
# what it then says of leaks and of unset variables is left to clang-tidy, gcc and ASan.
cppcheck_all() {
    mkdir -p $BUILD/cppcheck
    cppcheck --project=$BUILD/compile_commands.json -j "$(nproc)" --quiet --error-exitcode=1 \
        --cppcheck-build-dir=$BUILD/cppcheck \
        --enable=warning,performance,portability --inline-suppr '-D__VA_OPT__(...)=' \
        --suppress=memleak --suppress=resourceLeak --suppress=uninitvar \
        --suppress=missingIncludeSystem --suppress="*:$BUILD/src/store/*"
}

run walls scripts/walls.py
run clang-format layout
run clang-tidy tidy
run cppcheck cppcheck_all
run ThreadSanitizer scripts/tsan.sh
[ -z "$failed" ]
