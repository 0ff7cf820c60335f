"""`prepare` and `join` need memory for one row, whatever the size of the documents."""

import json
import re
import subprocess

from support import server as program

SIZES = (4, 64)  # MiB of a CSV
GROWTH_KIB = 8 << 10
ROW = '{0},"he said ""{0}""\n and then, 中文 \0, {1}"\r\n'


def docs(directory, mib):
    """The number of rows of a CSV of so many MiB."""
    rows = (mib << 20) // 1000
    with open(directory / "docs.csv", "w", newline="") as out:
        out.write("name,text\r\n")
        out.writelines(ROW.format(n, "lorem ipsum " * 78) for n in range(1, rows + 1))
    return rows


def results(directory, rows):
    """Answers in the opposite order."""
    with open(directory / "out.jsonl", "w") as out:
        for n in range(rows, 0, -1):
            choice = {"index": 0, "message": {"role": "assistant", "content": f"answer {n}"}}
            response = {"status_code": 200, "request_id": "r", "body": {"choices": [choice]}}
            line = {"id": "b", "custom_id": f"row-{n}", "response": response, "error": None}
            out.write(json.dumps(line) + "\n")


def peak(directory, *args):
    """KiB that it had at most. Looked at while it runs: ru_maxrss is also that of who started it."""
    highest = 0
    # what a sanitizer keeps of freed memory is none of the program's
    env = program.clean_env({"ASAN_OPTIONS": "exitcode=86:quarantine_size_mb=0"})
    with subprocess.Popen(
        [program.BINARY, *args], cwd=directory, env=env, stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            with open(f"/proc/{process.pid}/status") as status:
                found = re.search(r"VmHWM:\s+(\d+) kB", status.read())
            highest = max(highest, int(found[1]) if found else 0)
            with_patience(process)
    assert process.returncode == 0 and highest > 0
    return highest


def with_patience(process):
    try:
        process.wait(0.005)
    except subprocess.TimeoutExpired:
        pass


def test_memory_does_not_follow_the_rows(tmp_path):
    peaks = {"prepare": [], "join": []}
    for mib in SIZES:
        directory = tmp_path / str(mib)
        directory.mkdir()
        results(directory, docs(directory, mib))
        prompt = ["--prompt", "Say: {text}", "--model", "m-1"]
        peaks["prepare"].append(peak(directory, "prepare", "docs.csv", *prompt, "-o", "in.jsonl"))
        peaks["join"].append(peak(directory, "join", "out.jsonl", "docs.csv", "-o", "labelled.csv"))
    for command, (small, large) in peaks.items():
        assert large - small < GROWTH_KIB, (command, small, large)
