"""`lowtide results`: the exact bytes, whatever breaks on the way."""

import json
import signal

import pytest
from support.api import parse_results
from support.client import Client, sentence
from support.cutting import CuttingProxy
from support.jsonl import fresh, jsonl, line, numbered
from support.wire import wait_until

MB = 1 << 20


@pytest.fixture
def client(kimi, tmp_path):
    return Client(tmp_path, kimi.server.base_url, kimi.key)


@pytest.fixture
def mixed(kimi):
    """A batch of five answers and two errors that has ended, and its input."""
    mark = fresh()
    lines = [*numbered(mark, 5), *(line(f"bad-{n}", f"{mark}b{n} | status:400") for n in range(2))]
    return kimi.run(jsonl(lines)), jsonl(lines)


@pytest.fixture
def big(kimi, upstream):
    """A batch whose output has some 24 MB."""
    return kimi.run(jsonl(numbered(fresh(), 24, "huge:1000000")))


def left(path):
    return sorted(one.name for one in path.glob("*.part*"))


# ---- what it does ----


def test_to_standard_output(client, kimi, mixed):
    batch, _ = mixed
    done = client("results", batch["id"])
    assert done.stdout.encode() == kimi.content(batch["output_file_id"])
    assert done.stderr == "lowtide: 2 lines have no answer: --errors FILE gets them, each with the reason\n"


def test_into_files(client, kimi, mixed, tmp_path):
    batch, _ = mixed
    out, err = tmp_path / "out.jsonl", tmp_path / "err.jsonl"
    out.write_text("of another run")
    done = client("results", batch["id"].removeprefix("batch_"), "-o", out, "--errors", err)
    assert done.stdout == "" and done.stderr == ""
    assert out.read_bytes() == kimi.content(batch["output_file_id"])
    assert err.read_bytes() == kimi.content(batch["error_file_id"])
    assert left(tmp_path) == []


def test_files_that_the_server_does_not_have_are_empty(client, kimi, tmp_path):
    batch = kimi.run(jsonl(numbered(fresh(), 2)))
    out, err = tmp_path / "out.jsonl", tmp_path / "err.jsonl"
    err.write_text("of another run")
    client("results", batch["id"], "-o", out, "--errors", err)
    assert err.read_bytes() == b"" and len(parse_results(out.read_bytes())) == 2


def check_merged(text, given):
    bodies = {json.loads(one)["custom_id"]: one for one in given.splitlines()}
    for one in text.splitlines():
        merged = json.loads(one)
        assert merged["request"] == json.loads(bodies[merged["custom_id"]])["body"]
        assert list(merged)[-1] == "request"
    return [json.loads(one)["custom_id"] for one in text.splitlines()]


@pytest.mark.parametrize("follow", [[], ["--follow"]])
def test_merge(client, kimi, mixed, tmp_path, follow):
    batch, given = mixed
    path, out, err = (tmp_path / name for name in ("in.jsonl", "out.jsonl", "err.jsonl"))
    path.write_bytes(b"\xef\xbb\xbf" + given)
    client("results", batch["id"], "-o", out, "--errors", err, "--merge", path, *follow)
    ids = check_merged(out.read_bytes(), given) + check_merged(err.read_bytes(), given)
    assert sorted(ids) == sorted(json.loads(one)["custom_id"] for one in given.splitlines())
    assert check_merged(client("results", batch["id"], "--merge", path).stdout.encode(), given)
    assert left(tmp_path) == []


def test_merge_puts_the_bytes_beside(client, kimi, tmp_path):
    """Numbers, escapes and spaces of the request stand as they did; ids are compared unescaped."""
    mark = fresh()
    body = b'{"model": "m-1",  "x": 1.0, "big": 9007199254740993, "messages": [{"role":"user","content":"%s"}]}'
    body = body % mark.encode()
    given = b'{"custom_id": "\\u0061\xc3\xa4", "body": ' + body + b"}\n"
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"custom_id": "other", "body": {}}\nnonsense\n' + given)
    batch = kimi.run(given)
    done = client("results", batch["id"], "--merge", path)
    assert done.stdout.encode().endswith(b',"request":' + body + b"}\n")


def test_merge_with_another_file(client, mixed, tmp_path):
    batch, _ = mixed
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl([line("someone", "else")]))
    done = client("results", batch["id"], "--merge", path)
    assert all(json.loads(one)["request"] is None for one in done.stdout.splitlines())
    assert f"5 lines have no request in {path}" in done.stderr


# ---- while it runs ----


def test_it_follows_a_batch(client, kimi, upstream, tmp_path):
    mark = fresh()
    lines = [line("first", mark), line("bad", f"{mark}b | status:400"), line("last", f"{mark}c | hold:{mark}")]
    batch = kimi.create(jsonl(lines))
    done = client("results", batch["id"], expect=1)
    assert "--follow" in sentence(done) and done.stdout == ""
    call = client.start("results", batch["id"], "--follow")
    assert json.loads(call.stdout.readline())["custom_id"] == "first"
    assert call.poll() is None
    upstream.release(mark)
    rest = call.communicate(timeout=60)
    assert [json.loads(one)["custom_id"] for one in rest[0].splitlines()] == ["last"]
    assert call.returncode == 0 and "1 lines have no answer" in rest[1]


def test_a_follower_that_was_killed_goes_on(client, kimi, upstream, tmp_path):
    mark = fresh()
    lines = [
        *numbered(mark, 20), *(line(f"bad-{n}", f"{mark}b{n} | status:400") for n in range(5)),
        *(line(f"late-{n}", f"{mark}c{n} | hold:{mark}") for n in range(5)),
    ]  # fmt: skip
    batch = kimi.create(jsonl(lines))
    out, err = tmp_path / "out.jsonl", tmp_path / "err.jsonl"
    for errors in ([], ["--errors", err]):
        args = ["results", batch["id"], "--follow", "-o", out, *errors]
        proxy = CuttingProxy(kimi.server)
        call = client.at(proxy.url).start(*args)
        answers = tmp_path / f"out.jsonl.part-{batch['id']}"
        if not errors:
            wait_until(lambda: answers.exists() and answers.read_bytes().count(b"\n") == 20, "the first answers")
            call.kill()
            call.wait()
            assert not out.exists()
            with open(answers, "ab") as torn:
                torn.write(b'{"id": "half a li')
            call = client.start(*args)
            upstream.release(mark)
        assert call.wait(60) == 0, call.stderr.read()
        proxy.close()
        stream = kimi.http.get(f"/batches/{batch['id']}/results", params={"limit": 10000}).content
        want = [one for one in stream.splitlines() if json.loads(one)["response"]["status_code"] == 200]
        assert out.read_bytes().splitlines() == want
        assert left(tmp_path) == []
        if errors:
            assert len(parse_results(err.read_bytes())) == 5


def test_a_follower_that_is_called_with_other_places(client, kimi, upstream, tmp_path):
    """Lines that an earlier call put elsewhere, or that somebody has removed, are not taken for those that are
    there: no line comes twice, and none is missing."""
    mark = fresh()
    lines = [
        *(line(f"bad-{n}", f"{mark}b{n} | status:400") for n in range(5)), *numbered(mark, 5, f"hold:{mark}a"),
        line("late", f"{mark}c | hold:{mark}c"),
    ]  # fmt: skip
    batch = kimi.create(jsonl(lines))
    stream = f"/batches/{batch['id']}/results"
    wait_until(lambda: kimi.http.get(stream).content.count(b"\n") == 5, "the errors, which end first")
    upstream.release(f"{mark}a")
    out, err = tmp_path / "out.jsonl", tmp_path / "err.jsonl"
    follow = ["results", batch["id"], "--follow", "-o", out]
    for errors in ([], ["--errors", err]):
        call = client.start(*follow, *errors)
        answers = tmp_path / f"out.jsonl.part-{batch['id']}"
        others = tmp_path / f"{'err' if errors else 'out'}.jsonl.part-{batch['id']}{'' if errors else '-errors'}"
        wait_until(lambda: answers.exists() and answers.read_bytes().count(b"\n") == 5, "the answers")
        wait_until(lambda: others.exists() and others.read_bytes().count(b"\n") == 5, "the errors")
        call.kill()
        call.wait()
    others.unlink()
    upstream.release(f"{mark}c")
    done = client(*follow, "--errors", err)
    assert "all comes anew" in done.stderr
    ids = [json.loads(one)["custom_id"] for one in (out.read_bytes() + err.read_bytes()).splitlines()]
    assert sorted(ids) == sorted(json.loads(one)["custom_id"] for one in lines)


def test_two_calls_do_not_write_one_file(client, kimi, upstream, tmp_path):
    mark = fresh()
    batch = kimi.create(jsonl([line("a", mark), line("late", f"{mark}c | hold:{mark}")]))
    out = tmp_path / "out.jsonl"
    follow = ["results", batch["id"], "--follow", "-o", out]
    first = client.start(*follow)
    part = tmp_path / f"out.jsonl.part-{batch['id']}"
    wait_until(lambda: part.exists() and part.stat().st_size > 0, "the first answer")
    assert "another call of lowtide writes" in sentence(client(*follow, expect=1))
    upstream.release(mark)
    assert first.wait(60) == 0
    ids = [json.loads(one)["custom_id"] for one in out.read_bytes().splitlines()]
    assert ids == ["a", "late"]


def test_a_follower_over_a_broken_connection(client, kimi, big, tmp_path):
    out = tmp_path / "out.jsonl"
    proxy = CuttingProxy(kimi.server, cut_down=(5 * MB, 11 * MB))
    client.at(proxy.url)("results", big["id"], "--follow", "-o", out)
    proxy.close()
    stream = kimi.http.get(f"/batches/{big['id']}/results").content
    assert out.read_bytes() == stream


# ---- what breaks ----


def test_a_download_goes_on_over_breaks(client, kimi, big, tmp_path):
    out = tmp_path / "out.jsonl"
    proxy = CuttingProxy(kimi.server, cut_down=(5 * MB, 13 * MB))
    client.at(proxy.url)("results", big["id"], "-o", out)
    want = kimi.content(big["output_file_id"])
    assert out.read_bytes() == want
    # what was in sockets' buffers at a cut comes twice; begun anew it would be 13 MB more
    assert proxy.total["down"] < len(want) + 9 * MB
    before = proxy.total["down"]
    proxy.cut["down"] = [before + 5 * MB]
    assert client.at(proxy.url)("results", big["id"]).stdout.encode() == want
    proxy.close()


def test_the_server_is_killed_in_the_middle_of_a_download(serve, tmp_path):
    api = serve()
    batch = api.run(jsonl(numbered(fresh(), 24, "huge:1000000")))
    proxy = CuttingProxy(api.server, at_down=[(8 * MB, lambda: (api.server.kill(), api.server.start()))])
    client = Client(tmp_path / "home", proxy.url, api.key)
    out = tmp_path / "out.jsonl"
    client("results", batch["id"], "-o", out)
    proxy.close()
    assert api.server.starts == 2
    assert out.read_bytes() == api.content(batch["output_file_id"])


@pytest.mark.parametrize("merge", [False, True])
def test_the_client_is_killed_in_the_middle_of_a_download(client, kimi, big, tmp_path, merge):
    out, path = tmp_path / "out.jsonl", tmp_path / "in.jsonl"
    path.write_bytes(kimi.content(big["input_file_id"]))
    args = ["results", big["id"], "-o", out, *(["--merge", path] if merge else [])]
    calls = []
    proxy = CuttingProxy(kimi.server, at_down=[(9 * MB, lambda: calls[0].kill())])
    calls.append(client.at(proxy.url).start(*args))
    assert calls[0].wait(60) == -signal.SIGKILL
    (part,) = tmp_path.glob("*.part*")
    there = part.stat().st_size
    assert 0 < there and not out.exists()
    before = proxy.total["down"]
    client.at(proxy.url)(*args)
    proxy.close()
    want = kimi.content(big["output_file_id"])
    assert proxy.total["down"] - before < len(want) - there + MB
    if merge:
        check_merged(out.read_bytes(), path.read_bytes())
        assert len(out.read_bytes().splitlines()) == len(want.splitlines())
    else:
        assert out.read_bytes() == want
    assert left(tmp_path) == []


def test_an_unfinished_file_that_is_too_long_is_made_anew(client, kimi, mixed, tmp_path):
    batch, _ = mixed
    out = tmp_path / "out.jsonl"
    want = kimi.content(batch["output_file_id"])
    (tmp_path / f"out.jsonl.part-{batch['output_file_id']}").write_bytes(want + b"more")
    client("results", batch["id"], "-o", out)
    assert out.read_bytes() == want


# ---- mistakes ----


def test_mistakes(client, kimi, mixed, tmp_path):
    batch, _ = mixed
    said = sentence(client("results", "batch_" + "0" * 32, expect=1))
    assert "No batch found" in said
    said = sentence(client("results", batch["id"], "-o", tmp_path, expect=2))
    assert "is a directory" in said
    said = sentence(client("results", batch["id"], "-o", tmp_path / "a", "--errors", tmp_path / "a", expect=2))
    assert "the same file" in said
    said = sentence(client("results", batch["id"], "-o", tmp_path / "a", "--errors", f"{tmp_path}/./a", expect=2))
    assert "the same file" in said
    given = tmp_path / "in.jsonl"
    given.write_bytes(jsonl([line("a", "b")]))
    said = sentence(client("results", batch["id"], "--merge", given, "-o", given, expect=2))
    assert "cannot go into the input file" in said
    said = sentence(client("results", batch["id"], "--merge", tmp_path / "none", expect=1))
    assert "none" in said and "No such file" in said
    said = sentence(client("results", batch["id"], "-o", "/dev/full", expect=1))
    assert "/dev/full" in said and "No space left" in said
    kimi.http.delete(f"/files/{batch['output_file_id']}").raise_for_status()
    said = sentence(client("results", batch["id"], expect=1))
    assert "No such File object" in said
    assert "which batch?" in client("results", expect=2).stderr
    assert "one batch at a time" in client("results", "a", "b", expect=2).stderr


def test_a_batch_that_failed_says_why(client, kimi):
    batch = kimi.run(jsonl([b"{]"]), until="failed")
    done = client("results", batch["id"])
    assert done.stdout == "" and "line 1: invalid_json_line" in done.stderr


def test_a_reader_that_has_had_enough(client, big):
    """`| head -c 1`: the command ends by SIGPIPE, without a word."""
    call = client.start("results", big["id"])
    call.stdout.read(1)
    call.stdout.close()
    assert call.wait(60) in (-signal.SIGPIPE, 128 + signal.SIGPIPE)
    assert call.stderr.read() == ""
