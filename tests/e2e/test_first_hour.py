"""What people meet in the first hour: faults-seen.md, section 5 (F3 to F14)."""

import gzip
import json
import os
import pty
import re
import signal
import socket
import stat
import subprocess
import threading
import time

import httpx
import pytest
from support import server as program
from support.api import Api, parse_results
from support.jsonl import fresh, jsonl, line, numbered
from support.terminal import read_all
from support.wire import wait_until


@pytest.fixture
def files(tmp_path):
    """(input, output): paths, the input yet to be written."""
    return tmp_path / "in.jsonl", tmp_path / "out.jsonl"


def run_args(files, upstream, *more):
    return ["run", files[0], "-o", files[1], "--upstream", upstream.url, *more]


def left_beside(path):
    return {entry.name for entry in path.parent.iterdir()}


def start(args, **popen):
    popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **popen}
    command = [str(program.BINARY), *map(str, args)]
    return subprocess.Popen(command, env=program.clean_env(), **popen)


def finish(process):
    """What it said until its end; nothing of it is left, whatever it did."""
    try:
        return process.communicate(timeout=60)
    finally:
        process.kill()


# ---- F4: the port, the first key, the environment ----


def serve_args(data, port):
    upstream = ["--upstream", "http://127.0.0.1:9/v1"]
    return ["serve", "--listen", f"127.0.0.1:{port}", "--data", data, *upstream]


def test_f4_a_taken_port_is_found_before_anything_is_made(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = program.run(*serve_args(tmp_path / "data", taken.getsockname()[1]), expect=1)
    assert "--listen" in done.stderr and done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def shown_key(text):
    return re.search(r"^sk-[A-Za-z0-9]{48}$", text, re.MULTILINE)[0]


@pytest.fixture
def plain_server(serve):
    """A server whose first key is made by itself."""
    api = serve(start=False)
    api.server.key = ""
    return api.server


def test_f4_a_first_key_that_is_shown_works(plain_server):
    key = shown_key(plain_server.start().stdout())
    assert Api(plain_server, key).http.get("files").status_code == 200
    plain_server.restart()
    assert "sk-" not in plain_server.stdout()
    assert Api(plain_server, key).http.get("files").status_code == 200


def test_f4_a_kill_does_not_lose_the_only_key(plain_server, failpoints):
    """Killed between showing it and keeping it: the next start shows another, which works."""
    plain_server.start(env={"LOWTIDE_FAILPOINTS": "key.printed=kill"}, wait=False)
    plain_server.wait_killed()
    lost = shown_key(plain_server.stdout())
    key = shown_key(plain_server.start().stdout())
    assert key != lost
    assert Api(plain_server, key).http.get("files").status_code == 200
    assert Api(plain_server, lost).http.get("files").status_code == 401


def test_f4_a_key_that_cannot_be_shown_is_not_made(tmp_path):
    """Standard output is a full disk: the start fails, and the next one begins as if new."""
    with open("/dev/full", "w") as full:
        process = start(serve_args(tmp_path / "data", 0), stdout=full, text=True)
        _, text = finish(process)
    assert process.returncode == 1 and "standard output" in text
    program.check_report(text, "serve")
    assert program.run("key", "list", "--data", tmp_path / "data").stdout == ""


def test_f4_a_misspelt_variable_is_told(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl([line("a")]))
    env = {
        "LOWTIDE_EXECUTION_CONCURENCY": "4",
        "LOWTIDE_SOMETHING": "1",
        "LOWTIDE_UPSTREAM_API_KEY": "k",
        "LOWTIDE_BOOTSTRAP_KEY": "k",
        "LOWTIDE_LIMITS_LINE_BYTES": "1MB",
        "LOWTIDE_SERVICE_HOST": "10.0.0.1",
        "LOWTIDE_PORT": "tcp://10.0.0.1:8000",
    }
    text = program.run("check", path, env=env).stderr
    told = re.findall(r"config.unknown_variable variable=(\S+)", text)
    assert sorted(told) == ["LOWTIDE_EXECUTION_CONCURENCY", "LOWTIDE_SOMETHING"]
    assert "nearest: LOWTIDE_EXECUTION_CONCURRENCY" in text


# ---- F5, F13: keys ----


@pytest.mark.parametrize("command", [["key", "create", "--org", "o"], ["org", "create", "o"]])
def test_f5_a_directory_without_data_is_no_data_directory(tmp_path, command):
    data = tmp_path / "typo"
    done = program.run(*command, "--data", data, expect=2)
    assert str(data) in done.stderr and "--init" in done.stderr and not data.exists()
    data.mkdir()
    program.run(*command, "--data", data, expect=2)
    assert list(data.iterdir()) == []
    program.run(*command, "--data", data, "--init")
    assert program.run("org", "list", "--data", data).stdout.split()[-1] == "o"


@pytest.mark.parametrize("argument", [[], ["-"]])
def test_f13_a_key_to_revoke_is_read_from_standard_input(tmp_path, argument):
    data = tmp_path / "data"
    key = program.run("key", "create", "--org", "o", "--data", data, "--init").stdout
    program.run("key", "revoke", *argument, "--data", data, stdin=key)
    assert "revoked" in program.run("key", "list", "--data", data).stdout
    done = program.run("key", "revoke", *argument, "--data", data, stdin="", expect=2)
    assert "standard input" in done.stderr


# ---- F6: the bar ----


def on_terminal(args):
    """Exit code and all that a terminal of 80 columns was sent."""
    master, slave = pty.openpty()
    process = start(args, stdout=slave, stderr=slave, stdin=slave)
    os.close(slave)
    shown = read_all(master)
    text = shown.decode(errors="replace")
    program.check_report(text, "run")
    return process.wait(timeout=60), text


def screen_rows(text):
    """The rows that are left on a terminal: what a carriage return goes over is written over."""
    rows = []
    for row in text.replace("\r\n", "\n").split("\n"):
        cells = []
        for piece in row.split("\r"):
            kept, _, after = piece.partition("\x1b[K")
            cells[: len(kept)] = kept
            if "\x1b[K" in piece:
                cells[len(kept) :] = after
        rows.append("".join(cells).rstrip())
    return rows


LOG_LINE = re.compile(r"[\d-]{10}T[\d:.]+Z (info|warn)  ?[a-z_.]+( [a-z_]+=(\"[^\"]*\"|\S*))*")


def test_f6_lines_of_the_log_stand_above_the_bar(files, own_upstream):
    """An outage in the middle: its line in the log is shorter than the bar that it comes upon."""
    mark = fresh()
    files[0].write_bytes(jsonl(numbered(mark, 60, "slow:0.1")))

    def outage():
        own_upstream.wait_sent(mark, 16)
        own_upstream.stop()
        time.sleep(1)
        own_upstream.start()

    aside = threading.Thread(target=outage)
    aside.start()
    code, text = on_terminal(run_args(files, own_upstream, "--set", "execution.concurrency=4"))
    aside.join()
    assert code == 0
    rows = screen_rows(text)
    logged = [row for row in rows if re.search(r" (info|warn) ", row)]
    assert any("upstream.down" in row for row in logged), text
    for row in logged:
        assert LOG_LINE.fullmatch(row), row
    bars = [row for row in rows if "lines/s" in row]
    assert len(bars) == 1 and "60/60" in bars[0], rows


def test_f6_a_bad_file_draws_no_bar(files, upstream):
    files[0].write_bytes(jsonl([line("a"), b"{"]))
    code, text = on_terminal(run_args(files, upstream))
    assert code == 2 and "0/0" not in text and "\x1b[" not in text


# ---- F7: outputs that are no file ----


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_f7_answers_alone_on_standard_output(files, upstream, name):
    given, _ = files
    mark = fresh()
    given.write_bytes(jsonl([*numbered(mark, 30), line("bad", f"{mark}b | status:400")]))
    done = program.run(*run_args((given, name), upstream), expect=1)
    results = parse_results(done.stdout.encode())
    assert [one["custom_id"] for one in results] == [f"{mark}-{n}" for n in range(30)]
    assert "30 completed, 1 failed" in done.stderr
    (bad,) = parse_results((given.parent / "in.errors.jsonl").read_bytes())
    assert bad["custom_id"] == "bad"
    assert left_beside(given) == {"in.jsonl", "in.errors.jsonl"}


def test_f7_findings_do_not_stand_among_answers(files, upstream):
    files[0].write_bytes(b"{")
    done = program.run(*run_args((files[0], "-"), upstream), expect=2)
    assert done.stdout == "" and "invalid_json_line" in done.stderr


def test_f7_dev_null_and_a_pipe(files, upstream, tmp_path):
    given, _ = files
    given.write_bytes(jsonl(numbered(fresh(), 5)))
    program.run(*run_args((given, "/dev/null"), upstream))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = start(run_args((given, pipe), upstream))
    assert len(parse_results(pipe.read_bytes())) == 5
    finish(process)
    assert process.returncode == 0
    assert left_beside(given) == {"in.jsonl", "pipe"}


def test_f7_a_directory_is_refused(files, upstream, tmp_path):
    files[0].write_bytes(jsonl(numbered(fresh(), 1)))
    done = program.run(*run_args((files[0], tmp_path), upstream), expect=2)
    assert "is a directory" in done.stderr and left_beside(files[0]) == {"in.jsonl"}


def test_f7_answers_that_nobody_took_are_written_again(files, own_upstream):
    """The reader is gone, or its disk full: nothing is sent again."""
    given, _ = files
    mark = fresh()
    given.write_bytes(jsonl(numbered(mark, 20)))
    with open("/dev/full", "w") as full:
        process = start(run_args((given, "-"), own_upstream), stdout=full, text=True)
        _, text = finish(process)
    assert process.returncode == 1 and "same command" in text
    done = program.run(*run_args((given, "-"), own_upstream))
    assert len(parse_results(done.stdout.encode())) == 20
    assert own_upstream.sent(mark) == 20


def test_f7_a_stopped_run_to_standard_output_goes_on(files, own_upstream):
    given, _ = files
    mark = fresh()
    given.write_bytes(jsonl([*numbered(mark, 20), *numbered(mark + "h", 4, f"hold:{mark}")]))
    process = start(run_args((given, "-"), own_upstream, "--set", "execution.concurrency=4"))
    own_upstream.wait_sent(mark + "h", 4)
    process.kill()
    out, _ = finish(process)
    assert out == b"" and "in.jsonl.lowtide" in left_beside(given)
    own_upstream.release(mark)
    done = program.run(*run_args((given, "-"), own_upstream))
    assert len(parse_results(done.stdout.encode())) == 24
    assert left_beside(given) == {"in.jsonl"}


# ---- run --limit, run --retry-failed ----


def ids(path):
    return [one["custom_id"] for one in parse_results(path.read_bytes())]


def test_limit_then_the_rest(files, own_upstream):
    """The first lines that hold a request; blank ones do not count. Their answers are kept."""
    given, out = files
    mark = fresh()
    given.write_bytes(b"\n\n" + jsonl(numbered(mark, 30)) + b"{ not looked at")
    done = program.run(*run_args(files, own_upstream, "--limit", "3"))
    assert ids(out) == [f"{mark}-{n}" for n in range(3)]
    assert "--retry-failed" in done.stdout
    given.write_bytes(jsonl(numbered(mark, 30)))
    first = out.read_bytes()
    program.run(*run_args(files, own_upstream, "--retry-failed"))
    assert ids(out) == [f"{mark}-{n}" for n in range(30)]
    assert out.read_bytes().startswith(first), "the earlier answers, byte for byte"
    assert set(own_upstream.counts(mark).values()) == {1}


def test_limit_of_more_than_there_is(files, upstream):
    files[0].write_bytes(jsonl(numbered(fresh(), 3)))
    done = program.run(*run_args(files, upstream, "--limit", "99"))
    assert len(ids(files[1])) == 3 and "--retry-failed" not in done.stdout


def test_a_limited_run_goes_on_with_its_limit(files, own_upstream):
    given, out = files
    mark = fresh()
    given.write_bytes(jsonl(numbered(mark, 20, f"hold:{mark}")))
    process = start(run_args(files, own_upstream, "--limit", "4"))
    own_upstream.wait_sent(mark, 4)
    process.kill()
    finish(process)
    own_upstream.release(mark)
    done = program.run(*run_args(files, own_upstream), expect=2)
    assert "--limit 4" in done.stderr
    program.run(*run_args(files, own_upstream, "--limit", "4"))
    assert len(ids(out)) == 4 and len(own_upstream.counts(mark)) == 4


@pytest.fixture
def half_failed(files, own_upstream):
    """A run is done, in which every other of 40 lines failed; the upstream is well again."""
    given, out = files
    mark = fresh()
    odd = [line(f"{mark}-{n}", f"{mark}-{n} | status:400") for n in range(1, 40, 2)]
    even = [line(f"{mark}-{n}", f"{mark}-{n}") for n in range(0, 40, 2)]
    given.write_bytes(jsonl([one for pair in zip(even, odd, strict=True) for one in pair]))
    program.run(*run_args(files, own_upstream), expect=1)
    assert len(ids(out)) == 20 and own_upstream.sent(mark) == 40
    given.write_bytes(jsonl(numbered(mark, 40)))  # what made them fail is mended
    return mark


def assert_retried(files, upstream, mark, answers):
    given, out = files
    assert ids(out) == [f"{mark}-{n}" for n in range(40)]
    lines = out.read_bytes().splitlines()
    assert lines[::2] == answers, "good answers are kept, byte for byte"
    counts = upstream.counts(mark)
    assert {counts[f"{mark}-{n}"] for n in range(0, 40, 2)} == {1}, "paid for once"
    assert left_beside(given) == {"in.jsonl", "out.jsonl"}


def test_retry_failed(files, own_upstream, half_failed):
    answers = files[1].read_bytes().splitlines()
    done = program.run(*run_args(files, own_upstream, "--retry-failed"))
    assert "40 completed" in done.stdout and "20 answers of the earlier run" in done.stdout
    assert_retried(files, own_upstream, half_failed, answers)
    program.run(*run_args(files, own_upstream, "--retry-failed"))  # nothing is left to do
    assert own_upstream.sent(half_failed) == 60


@pytest.mark.parametrize(
    "point",
    ["journal.torn_write", "batch.after_insert", "journal.before_sync", "results.after_commit",
     "batch.after_final"],
)  # fmt: skip
def test_retry_failed_killed_at_a_point(files, own_upstream, half_failed, failpoints, point):
    answers = files[1].read_bytes().splitlines()
    args = run_args(files, own_upstream, "--retry-failed")
    died = program.run(*args, env={"LOWTIDE_FAILPOINTS": f"{point}=kill"}, expect=None)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert files[1].read_bytes().splitlines() == answers, "the earlier output stands until the end"
    program.run(*args)
    assert_retried(files, own_upstream, half_failed, answers)


def test_retry_failed_of_another_input(files, upstream, half_failed):
    given, out = files
    content = out.read_bytes()
    given.write_bytes(jsonl(numbered(fresh(), 40)))
    done = program.run(*run_args(files, upstream, "--retry-failed"), expect=2)
    assert f"{out}:1:" in done.stderr and out.read_bytes() == content
    out.write_bytes(b"no result\n")
    done = program.run(*run_args(files, upstream, "--retry-failed"), expect=2)
    assert f"{out}:1:" in done.stderr


def test_retry_failed_where_nothing_was(files, upstream):
    files[0].write_bytes(jsonl(numbered(fresh(), 3)))
    done = program.run(*run_args(files, upstream, "--retry-failed"), expect=2)
    assert str(files[1]) in done.stderr and left_beside(files[0]) == {"in.jsonl"}


# ---- F3, F14: check judges as the server does ----


def embeddings(count):
    one = {"method": "POST", "url": "/v1/embeddings", "body": {"model": "m-1", "input": ["a", "b"]}}
    return [json.dumps({"custom_id": f"e{n}", **one}).encode() for n in range(count)]


def server_takes(serve, profile, settings, content, endpoint):
    """Whether a server with these settings would run the file."""
    api = serve(profile=profile, settings=settings)
    sent = api.http.post("files", files={"file": ("in.jsonl", content)}, data={"purpose": "batch"})
    if sent.status_code != 200:
        return False
    create = {"input_file_id": sent.json()["id"], "endpoint": endpoint, "completion_window": "24h"}
    made = api.http.post("batches", json=create)
    if made.status_code != 200:
        return False
    return api.wait(made.json(), {"completed", "failed"})["status"] == "completed"


VERDICTS = [
    ("kimi", {}, jsonl([line("a")]), "/v1/chat/completions", None),
    ("kimi", {}, jsonl(embeddings(2)), "/v1/embeddings", "profile"),
    ("openai", {}, jsonl(embeddings(2)), "/v1/embeddings", None),
    ("openai", {"limits.inputs_per_file": "3"}, jsonl(embeddings(2)), "/v1/embeddings",
     "limits.inputs_per_file"),
    ("kimi", {"limits.lines_per_file": "1"}, jsonl([line("a"), line("b")]),
     "/v1/chat/completions", "limits.lines_per_file"),
    ("kimi", {"limits.line_bytes": "100"}, jsonl([line("a" * 80)]), "/v1/chat/completions",
     "limits.line_bytes"),
    ("kimi", {"limits.file_bytes": "1KB"}, jsonl(numbered("a", 20)), "/v1/chat/completions",
     "limits.file_bytes"),
    ("openai", {}, b'{"custom_id":"a","body":{"model":"m-1","messages":[]}}',
     "/v1/chat/completions", "method"),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "settings", "content", "endpoint", "told"), VERDICTS)
def test_f3_check_judges_as_the_server(tmp_path, serve, profile, settings, content, endpoint, told):
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    config = tmp_path / "lowtide.yaml"
    rows = [f"profile: {profile}", *(f"{key}: {value}" for key, value in settings.items())]
    config.write_text("\n".join(rows))
    flags = [word for item in settings.items() for word in ("--set", "=".join(item))]
    for args in (["--profile", profile, *flags], ["--config", config]):
        done = program.run("check", path, *args, expect=0 if told is None else 1)
        assert told is None or told in done.stdout
    assert server_takes(serve, profile, settings, content, endpoint) == (told is None)


def test_f3_a_large_file(tmp_path):
    """One over the default limit of a profile: told without a server, whatever else is in it."""
    path = tmp_path / "in.jsonl"
    one = line("x", "y" * 5_000_000)
    with open(path, "wb") as out:
        for n in range(43):
            out.write(one.replace(b'"x"', b'"x%d"' % n) + b"\n")
    done = program.run("check", path, "--set", "limits.file_bytes=100MB", expect=1)
    assert "limits.file_bytes" in done.stdout and str(path.stat().st_size) in done.stdout
    program.run("check", path, "--set", "limits.file_bytes=8GB")


def test_f3_the_name_is_judged_too(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(jsonl([line("a")]))
    assert ".jsonl" in program.run("check", path, expect=1).stdout


# ---- F8: what check says ----


def check(tmp_path, content, *args, name="in.jsonl"):
    path = tmp_path / name
    path.write_bytes(content)
    return program.run("check", path, *args, expect=1).stdout


@pytest.mark.parametrize("line_number", [1, 3])
def test_f8_column_and_reason(tmp_path, line_number):
    bad = b'{"custom_id":"a",}'
    lines = [line("x"), line("y"), line("z")]
    lines[line_number - 1] = bad
    text = check(tmp_path, jsonl(lines))
    assert f":{line_number}: invalid_json_line: This line is not parseable as valid JSON. " in text
    assert "Column 18: a comma is followed by }." in text


def test_f8_many_bad_lines_are_counted(tmp_path):
    lines = [b'{"custom_id": }'] * 20_000 + [line("a"), line("a")]
    text = check(tmp_path, jsonl(lines))
    assert len(text.splitlines()) < 20
    assert re.search(r"20000  invalid_json_line .*line 1\b", text)
    assert re.search(r"1  duplicate_custom_id .*line 20002\b", text)
    assert "19990  not shown" in text and "20001 findings" in text


GOOD = [json.loads(line(f"a{n}")) for n in range(40)]
WHOLE = {
    "array": (json.dumps(GOOD, indent=2).encode(), "JSON array"),
    "array in a line": (json.dumps(GOOD).encode(), "JSON array"),
    "pretty": ("\n".join(json.dumps(one, indent=2) for one in GOOD).encode(), "several lines"),
    "gzip": (gzip.compress(jsonl(numbered("a", 40))), "gzip"),
    "csv": (b"id,prompt\n" + b"1,hello\n" * 40, "CSV"),
    "utf-16": (jsonl(numbered("a", 40)).decode().encode("utf-16"), "UTF-16"),
    "utf-16 big": (b"\xfe\xff" + jsonl(numbered("a", 40)).decode().encode("utf-16-be"), "UTF-16"),
    "utf-16 bare": (jsonl(numbered("a", 40)).decode().encode("utf-16-le"), "UTF-16"),
    "commas": (b",\n".join(numbered("a", 40)), "end with a comma"),
    "nan": (jsonl(json.dumps({**one, "x": float("nan")}).encode() for one in GOOD), "NaN"),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_f8_a_mistake_of_the_whole_file_is_one_sentence(tmp_path, kind):
    content, told = WHOLE[kind]
    text = check(tmp_path, content)
    (sentence,) = [row for row in text.splitlines() if ":0: not_jsonl: " in row]
    assert told in sentence
    assert len(text.splitlines()) < 16


def test_f8_a_few_bad_lines_are_no_mistake_of_the_whole_file(tmp_path):
    text = check(tmp_path, b"[1,\n" + jsonl(numbered("a", 40)))
    assert "not_jsonl" not in text and ":1: invalid_json_line" in text


def test_f8_standard_input(tmp_path):
    good = jsonl(numbered("a", 3)).decode()
    assert "3 lines" in program.run("check", "-", stdin=good).stdout
    assert ":4: invalid_json_line" in program.run("check", "-", stdin=good + "{", expect=1).stdout


def test_f8_run_says_it_as_check_does(files, upstream):
    given, _ = files
    given.write_bytes(WHOLE["pretty"][0])
    assert "several lines" in program.run(*run_args(files, upstream), expect=2).stdout
    given.write_bytes(jsonl([line("a"), b'{"a": None}']))
    done = program.run(*run_args(files, upstream), expect=2)
    assert "Column 7: None is Python; JSON has null." in done.stdout


# ---- F9: help and exit codes ----


def test_f9_help_is_alike():
    """Of every command: four ways to the same text, with no environment and with a broken one."""
    commands = set(re.findall(r"^  lowtide ([a-z]+)\b", program.run("--help").stdout, re.M))
    assert {"serve", "run", "check", "key", "org"} <= commands
    for command in commands - {"help"}:
        texts = {program.run(*words).stdout for words in (
            [command, "--help"], [command, "-h"], [command, "-?"], ["help", command])}  # fmt: skip
        texts.add(program.run(command, "--help", env={"LOWTIDE_PROFILE": "none"}).stdout)
        (text,) = texts
        assert text.startswith(f"Usage: lowtide {command}") and "Exit code" in text
        assert "--help" in text and "-h," in text
        assert program.run(command, "--version").stdout.startswith("lowtide ")


def test_f9_help_names_the_key_of_upstreams():
    for command in ("run", "serve"):
        assert "LOWTIDE_UPSTREAM_API_KEY" in program.run("help", command).stdout


def test_f9_help_of_nothing_and_of_what_is_not():
    assert program.run("help").stdout == program.run("--help").stdout == program.run("-h").stdout
    assert "no subcommand 'x'" in program.run("help", "x", expect=2).stderr


def test_f9_exit_codes_are_alike(tmp_path, upstream):
    """1: what is named is not there, or it could not be done. 2: wrong use, or no such input."""
    data = tmp_path / "data"
    program.run("org", "create", "o", "--data", data, "--init")
    for words in (["org", "weight", "none", "3"], ["key", "revoke", "key_none"],
                  ["key", "list", "--org", "none"]):  # fmt: skip
        program.run(*words, "--data", data, expect=1)
    for words in (["org", "weight", "o", "x"], ["org", "weight", "o"], ["key", "list", "x"]):
        program.run(*words, "--data", data, expect=2)
    for words in (["key", "list"], ["org", "list"], ["key", "revoke", "k"]):
        program.run(*words, "--data", tmp_path / "none", expect=2)
    missing = tmp_path / "missing.jsonl"
    program.run("check", missing, expect=2)
    program.run(*run_args((missing, tmp_path / "out.jsonl"), upstream), expect=2)
    program.run("run", expect=2)
    program.run(expect=2)


# ---- F11: the engine's gauge ----


def engine_gauges(api):
    text = httpx.get(f"{api.server.url}/metrics", trust_env=False).text
    return re.findall(r"^lowtide_engine_requests\{.*\} (\d+)$", text, re.MULTILINE)


def test_f11_a_gauge_that_nobody_reads_any_more_is_gone(serve, own_upstream):
    """It is asked only while lines are in flight: what it said last is not what is."""
    own_upstream.set_metrics(
        'vllm:num_requests_running{model_name="m-1"} 2\n'
        'vllm:num_requests_waiting{model_name="m-1"} 0\n'
    )
    api = serve()
    mark = fresh()
    batch = api.create(numbered(mark, 4, f"hold:{mark}"))
    wait_until(lambda: engine_gauges(api) == ["2", "0"], "the engine's gauges are shown")
    own_upstream.release(mark)
    api.wait(batch, "completed")
    wait_until(lambda: engine_gauges(api) == [], "they are gone", seconds=20)


# ---- GET / ----


def test_the_root_says_what_this_is(api):
    response = httpx.get(api.server.url + "/", trust_env=False)
    assert response.status_code == 200 and response.headers["x-request-id"]
    assert response.text.startswith("lowtide ") and "/v1" in response.text
    assert httpx.get(api.server.url + "/x", trust_env=False).status_code == 404


# ---- F12: what a goal installs ----


def test_f12_unit_tests_need_no_node():
    text = (program.ROOT / "scripts" / "bootstrap.sh").read_text()
    goals = dict(re.findall(r"^    ([a-z0-9-]+)\)(.*?);;$", text, re.MULTILINE | re.DOTALL))
    assert [goal for goal, body in goals.items() if "node_install" in body] == ["e2e"]
    makefile = (program.ROOT / "Makefile").read_text()
    unit = makefile.split("build-test: build\n")[1].split("\n\n")[0]
    assert "bootstrap.sh unit" in unit
