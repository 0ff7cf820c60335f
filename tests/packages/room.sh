# For clean-room.sh, python-room.sh and console-room.sh: a clean Debian 12 with what a stranger has and nothing of this repository,
# and the demo's model outside.

. tests/packages/debian.sh
work=build/packages

# room_make ROOT ROWS FILE...: what is given, a CSV and a prompt stand in /work of it.
room_make() {
    local root=$1 rows=$2
    shift 2
    mkdir -p $work
    debian_make bookworm $work/bookworm
    debian_copy $work/bookworm "$root"
    mkdir "$root/work"
    cp "$@" tests/packages/prompt.txt "$root/work/"
    python3 tests/packages/descriptions.py "$rows" >"$root/work/docs.csv"
}

# room_enter ROOT COMMAND...: in /work of it, with an environment of its own.
room_enter() {
    local root=$1
    shift
    unshare --mount --pid --fork --kill-child chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        bash -c 'mount -t proc proc /proc && cd /work && exec "$@"' bash "$@" 2>&1
}

# model_start: http://127.0.0.1:$port/v1 is the model; it ends with this shell, which holds its standard input.
model_start() {
    mkdir -p build/demo
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    coproc MODEL { exec .venv/bin/python demo/model.py "$port" build/demo/gemma-3-270m.gguf >$work/model-"$port".log 2>&1; }
    for _ in $(seq 600); do
        if python3 -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/health')" 2>/dev/null; then return; fi
        sleep 0.2
    done
    echo "the model did not start" >&2
    tail -10 $work/model-"$port".log >&2
    return 1
}

# rows_check ROOT: labelled.csv has each row of docs.csv once, in its order, and none failed.
rows_check() {
    python3 - "$1/work/docs.csv" "$1/work/labelled.csv" <<'END'
import collections, csv, sys
asked, labelled = (list(csv.reader(open(path, newline=""))) for path in sys.argv[1:])
assert labelled[0] == asked[0] + ["answer", "answer_error"], labelled[0]
assert [row[:2] for row in labelled] == asked, "rows and their order"
answers = collections.Counter(row[2].strip() for row in labelled[1:])
failed = sum(row[3] != "" for row in labelled[1:])
most = ", ".join(f"{answer} {n}" for answer, n in answers.most_common(8))
print(f"\n{len(labelled) - 1} rows, each once and in order; {failed} failed; answers: {most}")
assert failed == 0
END
}
