"""`--stop-at-eof` and `--status-fd`: for a program that runs lowtide as a part of itself."""

import fcntl
import json
import os
import subprocess

import pytest
from support import server as program
from support.jsonl import fresh, jsonl, line, numbered

PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


def start(*args, **popen):
    command = [str(program.BINARY), *map(str, args)]
    return subprocess.Popen(command, env=program.clean_env(), **PIPES, **popen)


def test_serve_ends_with_its_standard_input(tmp_path, upstream):
    """In good order, as by SIGTERM; what is written there is ignored."""
    process = start(
        "serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "data", "--upstream", upstream.url,
        "--stop-at-eof",
    )  # fmt: skip
    while "listens on" not in process.stdout.readline():
        assert process.poll() is None
    process.stdin.write("ignored\n" * 1000)
    process.stdin.flush()
    _, text = process.communicate(timeout=60)
    program.check_report(text, "serve")
    assert process.returncode == 0 and "serve.stopped" in text


def test_run_ends_with_its_standard_input_and_goes_on(tmp_path, own_upstream):
    given, out, mark = tmp_path / "in.jsonl", tmp_path / "out.jsonl", fresh()
    given.write_bytes(jsonl([line("a", mark + "a"), line("b", f"{mark}b | hold:{mark}")]))
    args = ["run", given, "-o", out, "--upstream", own_upstream.url, "--set", "execution.drain=0s"]
    process = start(*args, "--stop-at-eof")
    own_upstream.wait_sent(mark + "b", 1)
    _, text = process.communicate(timeout=60)
    program.check_report(text, "run")
    assert process.returncode == 128 + 15 and "the same command goes on from there" in text
    own_upstream.release(mark)
    program.run(*args)
    assert len(out.read_bytes().splitlines()) == 2


def test_without_the_option_a_run_needs_no_standard_input(tmp_path, upstream):
    given = tmp_path / "in.jsonl"
    given.write_bytes(jsonl(numbered(fresh(), 3)))
    process = start("run", given, "-o", tmp_path / "out.jsonl", "--upstream", upstream.url)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_progress_for_a_program(tmp_path, own_upstream):
    """On its own descriptor, first why nothing moves, last that all is done; standard error has none."""
    given, out, mark = tmp_path / "in.jsonl", tmp_path / "out.jsonl", fresh()
    given.write_bytes(jsonl([*numbered(mark, 3), line("bad", f"{mark}bad | status:400")]))
    own_upstream.stop()
    reader, writer = os.pipe()
    process = start(
        "run", given, "-o", out, "--upstream", own_upstream.url, "--status-fd", writer, pass_fds=[writer]
    )
    os.close(writer)
    with open(reader) as lines:
        seen = []
        for text in lines:
            seen.append(json.loads(text))
            if seen[-1]["waiting"] and len(seen) > 1:
                own_upstream.start()
                break
        seen += map(json.loads, lines)
    out, err = process.communicate(timeout=60)
    program.check_report(err, "run")
    assert process.returncode == 1
    assert any(one["waiting"] for one in seen)
    keys = ["done", "total", "failed", "running", "lines_per_s", "tokens_per_s", "eta_s", "waiting"]
    assert list(seen[-1]) == keys
    assert (seen[-1]["done"], seen[-1]["total"], seen[-1]["failed"]) == (4, 4, 1)
    assert "4/4 lines" not in err


def test_a_program_that_does_not_read_the_progress(tmp_path, own_upstream):
    """The run ends all the same; what it has said are whole lines."""
    given, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    given.write_bytes(jsonl(numbered(fresh(), 3)))
    reader, writer = os.pipe()
    os.write(writer, b"x" * (fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096) - 1) + b"\n")
    process = start(
        "run", given, "-o", out, "--upstream", own_upstream.url, "--status-fd", writer, pass_fds=[writer]
    )
    os.close(writer)
    _, err = process.communicate(timeout=60)
    program.check_report(err, "run")
    assert process.returncode == 0
    with open(reader) as lines:
        assert [one.strip("x") for one in lines] == ["\n"]


@pytest.mark.parametrize("word", ["x", "-1", "77", "3x"])
def test_a_status_descriptor_that_is_none(tmp_path, word):
    given = tmp_path / "in.jsonl"
    given.write_bytes(b"")
    done = program.run("run", given, "-o", tmp_path / "o", f"--status-fd={word}", expect=2)
    assert "--status-fd" in done.stderr and "no open descriptor" in done.stderr
