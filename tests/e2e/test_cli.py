"""`lowtide run`, `check`, `key`, `org`."""

import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest
from support import server as program
from support.api import Api, output_text, parse_results
from support.journal import records
from support.jsonl import fresh, jsonl, line, numbered
from support.terminal import read_all
from support.wire import wait_until

UNSYNCED = 1024  # lines that were answered and are not durable: then nothing more is sent


@pytest.fixture
def files(tmp_path):
    """(input, output, errors): paths, the input yet to be written."""
    return tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "err.jsonl"


def run_args(files, upstream, *more):
    given, out, err = files
    return ["run", given, "-o", out, "--errors", err, "--upstream", upstream.url, *more]


def start_run(files, upstream, *more, **popen):
    args = [str(program.BINARY), *map(str, run_args(files, upstream, *more))]
    popen = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **popen}
    return subprocess.Popen(args, env=program.clean_env(), **popen)


# ---- run ----


def test_run(files, upstream):
    given, out, err = files
    mark = fresh()
    given.write_bytes(jsonl(numbered(mark, 50)))
    done = program.run(*run_args(files, upstream))
    results = parse_results(out.read_bytes())
    assert [one["custom_id"] for one in results] == [f"{mark}-{n}" for n in range(50)]
    assert output_text(results[0]) == f"echo {mark}-0"
    assert set(upstream.counts(mark).values()) == {1}
    assert "50" in done.stdout + done.stderr
    left = {path.name for path in out.parent.iterdir()}
    assert left <= {"in.jsonl", "out.jsonl", "err.jsonl"}, left
    assert not err.exists() or err.read_bytes() == b""


def test_run_with_failures(files, upstream):
    """They are in the error file, and counted."""
    given, out, err = files
    mark = fresh()
    given.write_bytes(jsonl([*numbered(mark, 5), line("bad", f"{mark}b | status:400")]))
    done = program.run(*run_args(files, upstream), expect=1)
    assert len(parse_results(out.read_bytes())) == 5
    (bad,) = parse_results(err.read_bytes())
    assert bad["custom_id"] == "bad" and bad["response"]["status_code"] == 400
    assert re.search(r"1 failed|failed:? 1|failed=1", done.stdout + done.stderr)


def test_run_names_the_error_file_itself(files, upstream):
    given, out, _ = files
    mark = fresh()
    given.write_bytes(jsonl([line("good", mark), line("bad", f"{mark}b | status:400")]))
    args = ["run", given, "-o", out, "--upstream", upstream.url]
    program.run(*args, expect=1)
    assert "good" in out.read_text()
    (errors,) = out.parent.glob("out*errors.jsonl")
    (bad,) = parse_results(errors.read_bytes())
    assert bad["custom_id"] == "bad"


def test_run_to_another_directory_with_a_bare_name(tmp_path, upstream):
    mark = fresh()
    (tmp_path / "in.jsonl").write_bytes(jsonl(numbered(mark, 3)))
    program.run("run", "in.jsonl", "-o", "out.jsonl", "--upstream", upstream.url, cwd=tmp_path)
    assert len(parse_results((tmp_path / "out.jsonl").read_bytes())) == 3


def test_run_of_a_bad_file(files, upstream):
    """Every finding, as `check` prints it; nothing is sent, nothing is written."""
    given, out, err = files
    mark = fresh()
    given.write_bytes(jsonl([line("a", mark), b"{", line("a", mark)]))
    done = program.run(*run_args(files, upstream), expect=2)
    text = done.stdout + done.stderr
    assert f"{given}:2: invalid_json_line:" in text
    assert f"{given}:3: duplicate_custom_id:" in text
    assert upstream.counts(mark) == {} and not out.exists()


@pytest.mark.parametrize("missing", ["input", "directory"])
def test_run_where_files_are_not(files, upstream, missing):
    given, out, err = files
    if missing == "directory":
        given.write_bytes(jsonl(numbered(fresh(), 1)))
        out = out.parent / "no" / "such" / "out.jsonl"
    done = program.run(*run_args((given, out, err), upstream), expect=None)
    assert done.returncode not in (0, None)
    assert str(given if missing == "input" else out.parent) in done.stderr


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_run_goes_on_where_it_stopped(files, own_upstream, sign):
    given, out, err = files
    mark = fresh()
    lines = [*numbered(mark, 200), *numbered(mark + "h", 20, f"hold:{mark}")]
    given.write_bytes(jsonl(lines))
    process = start_run(files, own_upstream, "--set", "execution.concurrency=8",
                        "--set", "execution.drain=1s")  # fmt: skip
    own_upstream.wait_sent(mark + "h", 8)
    wait_until(lambda: len(records(out.parent)) == 200, "the 200 are in the journal")
    process.send_signal(sign)
    _, text = process.communicate(timeout=60)
    program.check_report(text, "run")
    assert process.returncode != 0
    assert not out.exists() or not out.read_bytes(), "half an output looks like a whole one"
    own_upstream.release(mark)
    program.run(*run_args(files, own_upstream))
    results = parse_results(out.read_bytes())
    assert len(results) == 220
    assert [one["custom_id"] for one in results][:3] == [f"{mark}-{n}" for n in range(3)]
    sent = own_upstream.counts(mark)
    assert all(sent[f"{mark}-{n}"] == 1 for n in range(200)), "a finished line was sent again"


def test_run_killed_many_times(files, own_upstream):
    given, out, err = files
    mark, count = fresh(), 1500
    given.write_bytes(jsonl(numbered(mark, count, "slow:0.02")))
    again = 0
    for wait in (0.3, 0.8, 0.05, 0.6):
        before = own_upstream.sent(mark)
        process = start_run(files, own_upstream, "--set", "execution.concurrency=16")
        time.sleep(wait)
        if process.poll() is None:
            process.kill()
        _, text = process.communicate(timeout=60)
        program.check_report(text, "run")
        if out.exists():
            break
        sent = own_upstream.settled(mark)
        # in flight, and answered and not synced
        lost = sent - again - len(records(out.parent))
        assert lost <= min(16 + UNSYNCED, sent - before)
        again += lost
    if not out.exists():
        program.run(*run_args(files, own_upstream), timeout=120)
    results = parse_results(out.read_bytes())
    assert [one["custom_id"] for one in results] == [f"{mark}-{n}" for n in range(count)]
    assert own_upstream.sent(mark) - count <= again


# point: lines that were sent when it is passed first, and of these on disk, at least
POINTS = {
    "ingest.after_rename": (0, 0),
    "batch.after_insert": (0, 0),
    "journal.torn_write": (1, 0),
    "results.after_sync": (1024, 1024),  # a segment
    "results.after_commit": (1024, 1024),
    "batch.before_final": (1301, 1301),
    "batch.after_final": (1301, 1301),
}


@pytest.mark.parametrize("point", POINTS)
def test_run_killed_at_a_point(files, own_upstream, failpoints, point):
    given, out, err = files
    mark, count = fresh(), 1300
    given.write_bytes(jsonl([*numbered(mark, count), line("bad", f"{mark}b | status:400")]))
    args = run_args(files, own_upstream, "--set", "execution.concurrency=16")
    died = program.run(*args, env={"LOWTIDE_FAILPOINTS": f"{point}=kill"}, expect=None)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not out.exists()
    sent, durable = own_upstream.settled(mark), len(records(out.parent))
    sent_least, durable_least = POINTS[point]
    assert sent >= sent_least and durable >= durable_least
    assert sent_least > 0 or sent == 0, "sent before the batch was made"
    # in flight, and answered and not synced (upstream/slots.h)
    assert sent - durable <= 16 + UNSYNCED
    program.run(*args, expect=1)
    results = parse_results(out.read_bytes())
    assert [one["custom_id"] for one in results] == [f"{mark}-{n}" for n in range(count)]
    assert [one["custom_id"] for one in parse_results(err.read_bytes())] == ["bad"]
    assert own_upstream.sent(mark) - count - 1 <= sent - durable, "a line on disk was sent again"
    left = {path.name for path in out.parent.iterdir()}
    assert left == {"in.jsonl", "out.jsonl", "err.jsonl"}, left


def test_run_again_when_done(files, upstream):
    """A finished output is not overwritten, and nothing is sent again, but by --force."""
    given, out, err = files
    mark = fresh()
    given.write_bytes(jsonl(numbered(mark, 20)))
    program.run(*run_args(files, upstream))
    content = out.read_bytes()
    done = program.run(*run_args(files, upstream), expect=2)
    assert str(out) in done.stderr and "--force" in done.stderr
    assert out.read_bytes() == content and upstream.sent(mark) == 20
    program.run(*run_args(files, upstream, "--force"))
    assert len(parse_results(out.read_bytes())) == 20 and upstream.sent(mark) == 40


def test_run_with_another_input_does_not_mix(files, own_upstream):
    """What was left by a run of other lines is not taken for this one's."""
    given, out, err = files
    first, second = fresh(), fresh()
    given.write_bytes(jsonl([*numbered(first, 20), *numbered(first + "n", 5, "never")]))
    process = start_run(files, own_upstream, "--set", "execution.concurrency=8")
    own_upstream.wait_sent(first + "n", 5)
    process.kill()
    process.communicate()
    given.write_bytes(jsonl(numbered(second, 20)))
    done = program.run(*run_args(files, own_upstream), expect=None)
    if done.returncode == 0:
        results = parse_results(out.read_bytes())
        assert [one["custom_id"] for one in results] == [f"{second}-{n}" for n in range(20)]
    else:
        assert done.stderr.strip() and not out.exists()


def test_run_shows_plain_lines_where_there_is_no_terminal(files, upstream):
    given, _, _ = files
    given.write_bytes(jsonl(numbered(fresh(), 60, "slow:0.05")))
    done = program.run(*run_args(files, upstream))
    text = done.stdout + done.stderr
    assert "\r" not in text and "\x1b" not in text
    assert re.search(r"60 ?(/|of) ?60", text), text


def test_run_shows_a_bar_on_a_terminal(files, upstream):
    given, out, _ = files
    given.write_bytes(jsonl(numbered(fresh(), 200, "slow:0.1")))
    master, slave = pty.openpty()
    process = start_run(files, upstream, stdout=slave, stderr=slave, stdin=slave, text=False)
    os.close(slave)
    shown = read_all(master)
    assert process.wait(timeout=60) == 0
    text = shown.decode(errors="replace")
    assert text.count("\r") > 3, "nothing moved"
    assert re.search(r"\d+ ?/ ?200", text), text
    assert re.search(r"tok", text) and re.search(r"ETA|left", text), text
    program.check_report(text, "run")
    assert len(parse_results(out.read_bytes())) == 200


def test_run_two_at_once_on_one_output(files, own_upstream):
    """The second is told; the first is not disturbed."""
    given, out, _ = files
    mark = fresh()
    given.write_bytes(jsonl(numbered(mark, 5, f"hold:{mark}")))
    process = start_run(files, own_upstream, "--set", "execution.concurrency=5")
    own_upstream.wait_sent(mark, 5)
    second = program.run(*run_args(files, own_upstream), expect=None)
    assert second.returncode != 0 and second.stderr.strip()
    own_upstream.release(mark)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 0, text
    assert set(own_upstream.counts(mark).values()) == {1}


def test_run_while_the_upstream_is_down(files, own_upstream):
    given, out, _ = files
    given.write_bytes(jsonl(numbered(fresh(), 5)))
    own_upstream.stop()
    process = start_run(files, own_upstream)
    time.sleep(1.5)
    assert process.poll() is None
    own_upstream.start()
    _, text = process.communicate(timeout=60)
    assert process.returncode == 0, text
    assert len(parse_results(out.read_bytes())) == 5


# ---- check ----


def test_check_of_a_good_file(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(numbered("a", 3, model="some-model")))
    done = program.run("check", path)
    assert "3" in done.stdout and "some-model" in done.stdout
    assert str(path.stat().st_size) in done.stdout.replace(",", "").replace(" ", "")
    assert f"{path}:" not in done.stdout.split("\n")[0] or "lines" in done.stdout


def test_check_prints_every_finding(tmp_path):
    """`file:line: code: message`; a summary; exit 1."""
    path = tmp_path / "in.jsonl"
    lines = [line("a"), b"{", b"", line("a"), line("b", model="m-2"), b"[]", line("", "x")]
    path.write_bytes(jsonl(lines))
    done = program.run("check", path, expect=1)
    found = [text for text in done.stdout.splitlines() if text.startswith(f"{path}:")]
    heads = [":".join(text.split(":")[:3]) for text in found]
    assert heads[:5] == [
        f"{path}:2: invalid_json_line",
        f"{path}:4: duplicate_custom_id",
        f"{path}:5: mismatched_model",
        f"{path}:6: invalid_request",
        f"{path}:7: invalid_value",
    ]
    assert "This line is not parseable as valid JSON." in found[0]
    assert "The custom_id 'a' for this request is a duplicate" in found[1]


def test_check_prints_all_when_asked(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"{x\n" * 1500)
    done = program.run("check", "--all", path, expect=1)
    assert done.stdout.count("invalid_json_line") == 1500


def test_check_of_an_empty_file(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n")
    done = program.run("check", path, expect=1)
    assert "empty_file" in done.stdout + done.stderr


def test_check_of_no_file(tmp_path):
    done = program.run("check", tmp_path / "none.jsonl", expect=2)
    assert "none.jsonl" in done.stderr


def test_check_and_server_agree(tmp_path, kimi):
    lines = [line("a"), json.dumps({"custom_id": "b", "body": {}}).encode(), b"x", line("a")]
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(lines))
    printed = program.run("check", path, expect=1).stdout
    batch = kimi.run(jsonl(lines), until="failed")
    for entry in batch["errors"]["data"]:
        assert f"{path}:{entry['line']}: {entry['code']}: {entry['message']}" in printed


def test_check_judges_by_the_limits_of_the_server(tmp_path, serve):
    """F3, 3.3: a file that is too large, an endpoint that the profile lacks."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl([line("a", "x" * 5000, url="/v1/embeddings")]))
    settings = {"limits.file_bytes": 5000}
    flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    printed = program.run("check", *flags, path, expect=1).stdout
    api = serve("kimi", settings)
    refusal = api.upload_raw(path.read_bytes()).json()["error"]["message"]
    assert "(limits.file_bytes)" in refusal
    assert f"{path}:0: file_too_large: {refusal}" in printed
    small = api.upload(jsonl([line("a")]))
    refusal = api.create_raw(small, endpoint="/v1/embeddings").json()["error"]["message"]
    assert "profile: openai" in refusal
    assert f"{path}:0: invalid_value: {refusal}" in printed
    assert program.run("check", "--profile", "openai", path).stdout.endswith("good\n")


def test_check_takes_the_vendors_figures(tmp_path):
    """3.3: 50,001 lines are good by default, and one too many for OpenAI."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(line(str(n)) for n in range(50_001)))
    program.run("check", "--profile", "openai", path)
    flags = ("--profile", "openai", "--set", "limits.vendor=true")
    printed = program.run("check", *flags, path, expect=1).stdout
    assert "too_many_tasks" in printed and "(limits.lines_per_file)" in printed


# ---- key, org ----


def test_key_create_prints_the_key_and_nothing_else(tmp_path):
    """Also before the first start; the organization is made if there is none."""
    data = tmp_path / "data"
    done = program.run("key", "create", "--data", data, "--org", "new", "--init")
    assert re.fullmatch(r"sk-[A-Za-z0-9]{48}\n", done.stdout)
    again = program.run("key", "create", "--data", data, "--org", "new")
    assert again.stdout != done.stdout
    listed = program.run("org", "list", "--data", data).stdout
    assert listed.count("new") == 1
    assert done.stdout.strip() not in program.run("key", "list", "--data", data).stdout


@pytest.mark.meta_db
def test_keys_made_before_the_start_work(serve, tmp_path):
    api = serve(start=False)
    made = program.run("key", "create", "--data", api.server.data, "--org", "early", "--init")
    key = made.stdout.strip()
    api.server.start()
    assert Api(api.server, key).http.get("files").status_code == 200


def test_keys_are_stored_only_as_hashes(tmp_path):
    data = tmp_path / "data"
    key = program.run("key", "create", "--data", data, "--org", "o", "--init").stdout.strip()
    for path in data.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert key.encode() not in content and key[3:].encode() not in content


def test_org_create_and_list(tmp_path):
    data = tmp_path / "data"
    program.run("org", "create", "--data", data, "first", "--init")
    program.run("org", "create", "--data", data, "zweite ☃")
    listed = program.run("org", "list", "--data", data).stdout
    assert "first" in listed and "zweite ☃" in listed
    done = program.run("org", "create", "--data", data, "first", expect=None)
    assert done.returncode != 0 and "first" in done.stderr


def test_revoke_what_is_not_there(tmp_path):
    data = tmp_path / "data"
    program.run("org", "create", "--data", data, "o", "--init")
    done = program.run("key", "revoke", "--data", data, "key_none", expect=None)
    assert done.returncode != 0 and "key_none" in done.stderr


def test_keys_while_the_server_runs_and_is_busy(serve, own_upstream):
    """Many at once, beside a batch: nobody is locked out."""
    api = serve()
    batch = api.create(numbered(fresh(), 400, "slow:0.01"))
    keys = [api.server.new_key(f"org-{n % 3}") for n in range(8)]
    assert len(set(keys)) == 8
    for key in keys:
        assert Api(api.server, key).http.get("files").status_code == 200
    api.wait(batch, "completed")


def test_admin_without_a_directory(tmp_path):
    """A wrong --data is told, or made; never a crash."""
    (tmp_path / "file").write_text("x")
    done = program.run("key", "list", "--data", tmp_path / "file", expect=None)
    assert done.returncode != 0 and done.stderr.strip()
    wait_until(lambda: (tmp_path / "file").read_text() == "x", "it is as it was")
