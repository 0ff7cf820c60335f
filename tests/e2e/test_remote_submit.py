"""`lowtide submit`: a file becomes one batch, whatever breaks on the way."""

import json
import signal
import time

import pytest
from support.api import BATCH_ID, parse_results
from support.client import Client, sentence
from support.cutting import CuttingProxy
from support.jsonl import body, fresh, jsonl, line, numbered
from support.wire import wait_until

MB = 1 << 20
PART = 8 * MB


@pytest.fixture
def client(kimi, tmp_path):
    return Client(tmp_path, kimi.server.base_url, kimi.key)


@pytest.fixture
def given(tmp_path):
    """A file of ten lines."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(numbered(fresh(), 10)))
    return path


def large(path, megabytes):
    """A file of lines of 64 KiB whose content says where it is."""
    mark = fresh()
    n = megabytes * 16
    filler = "x" * 65200
    path.write_bytes(jsonl([line(f"{mark}-{i}", f"{mark} {i} {filler}") for i in range(n)]))
    return path


def batches(api):
    return api.http.get("/batches", params={"limit": 100}).json()["data"]


def one_batch(api):
    (batch,) = batches(api)
    return batch


# ---- what it does ----


def test_it_prints_the_id_and_nothing_else(client, kimi, given):
    done = client("submit", given)
    assert BATCH_ID.fullmatch(done.stdout.strip()) and done.stdout.count("\n") == 1
    assert done.stderr == ""
    batch = one_batch(kimi)
    assert batch["id"] == done.stdout.strip()
    assert batch["completion_window"] == "24h" and batch["metadata"] is None
    assert kimi.content(batch["input_file_id"]) == given.read_bytes()
    assert kimi.file(batch["input_file_id"])["filename"] == "in.jsonl"
    assert client.kept() == []


def test_a_second_call_makes_a_second_batch(client, kimi, given):
    first, second = client("submit", given).stdout, client("submit", given).stdout
    assert first != second and len(batches(kimi)) == 2


def test_its_options_reach_the_server(client, kimi, given):
    client(
        "submit", given, "--window", "3d", "--metadata", "job=nightly", "--metadata", "who=ä=b",
        "--canary", 2, "--hours", "00:00-23:59", "--token-budget", 1000000, "--skip-bad-lines",
    )  # fmt: skip
    batch = one_batch(kimi)
    assert batch["completion_window"] == "3d"
    assert batch["metadata"] == {"job": "nightly", "who": "ä=b"}
    wait_until(lambda: kimi.get(batch["id"])["lowtide"]["stall_reason"] == "held", "the canary")


def test_the_endpoint_is_that_of_the_lines(oai, tmp_path):
    client = Client(tmp_path, oai.server.base_url, oai.key)
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n" + jsonl([line("a", fresh(), url="/v1/embeddings")]))
    client("submit", path)
    assert one_batch(oai)["endpoint"] == "/v1/embeddings"


def test_lines_without_url_are_chat_completions(client, kimi, tmp_path):
    path = tmp_path / "data.ndjson"
    path.write_bytes(jsonl([json.dumps({"custom_id": "a", "body": body(fresh())}).encode()]))
    client("submit", path)
    batch = one_batch(kimi)
    assert batch["endpoint"] == "/v1/chat/completions"
    assert kimi.file(batch["input_file_id"])["filename"] == "data.ndjson.jsonl"


def test_from_standard_input(client, kimi, given):
    client("submit", "-", stdin=given.read_text())
    assert kimi.content(one_batch(kimi)["input_file_id"]) == given.read_bytes()


# ---- waiting ----


def test_it_waits_and_brings_the_answers(client, kimi, given, tmp_path):
    out, err = tmp_path / "out.jsonl", tmp_path / "err.jsonl"
    done = client("submit", given, "--wait", "-o", out, "--errors", err)
    batch = one_batch(kimi)
    assert done.stdout == batch["id"] + "\n"
    assert out.read_bytes() == kimi.content(batch["output_file_id"])
    assert err.read_bytes() == b""
    assert "10 have an answer, 0 failed" in done.stderr
    assert client.kept() == []
    assert not list(tmp_path.glob("*.part*"))


def test_exit_3_where_lines_failed(client, kimi, tmp_path):
    path, out, err = (tmp_path / name for name in ("in.jsonl", "out.jsonl", "err.jsonl"))
    mark = fresh()
    path.write_bytes(jsonl([line("good", mark), line("bad", f"{mark}b | status:400")]))
    done = client("submit", path, "--wait", "-o", out, "--errors", err, expect=3)
    assert [one["custom_id"] for one in parse_results(out.read_bytes())] == ["good"]
    assert [one["custom_id"] for one in parse_results(err.read_bytes())] == ["bad"]
    assert "1 failed" in done.stderr and "1 of them: 400, line 2 for one" in done.stderr


def test_exit_4_where_the_file_is_bad_later_on(client, kimi, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl([line("a", fresh()), b"{]", b"{]", b"{]", b"{]"]))
    done = client("submit", path, "--wait", "-o", tmp_path / "out.jsonl", expect=4)
    assert done.stderr.count("line 2: invalid_json_line") == 1, done.stderr
    assert f"and 1 more: lowtide show {done.stdout.strip()}" in done.stderr


def test_exit_4_where_it_is_cancelled(client, kimi, tmp_path):
    path, mark = tmp_path / "in.jsonl", fresh()
    path.write_bytes(jsonl([line("a", f"{mark} | never")]))
    waits = client.start("submit", path, "--wait")
    batch = waits.stdout.readline().strip()
    kimi.http.post(f"/batches/{batch}/cancel").raise_for_status()
    assert waits.wait(60) == 4
    assert f"{batch} is cancelled" in waits.stderr.read()


def test_exit_124_and_the_same_call_waits_on(client, kimi, upstream, tmp_path):
    path, out, mark = tmp_path / "in.jsonl", tmp_path / "out.jsonl", fresh()
    path.write_bytes(jsonl([line("a", f"{mark} | hold:{mark}")]))
    first = client("submit", path, "--wait", "--timeout", "1s", "-o", out, expect=124)
    assert "the same call waits on" in first.stderr and not out.exists()
    upstream.release(mark)
    second = client("submit", path, "--wait", "-o", out)
    assert second.stdout == first.stdout
    assert "going on with the batch" in second.stderr
    assert len(parse_results(out.read_bytes())) == 1
    assert len(batches(kimi)) == 1


def test_a_wait_that_was_cut_off_goes_on_after_days(client, kimi, upstream, tmp_path):
    """The server has forgotten the call's key by then, and its batch still runs; once that has ended for as
    long, the same call is another one."""
    path, mark = tmp_path / "in.jsonl", fresh()
    path.write_bytes(jsonl([line("a", f"{mark} | hold:{mark}")]))
    call = ["submit", path, "--wait", "--timeout", "1s"]
    first = client(*call, expect=124).stdout
    client.age(25 * 3600)
    assert client(*call, expect=124).stdout == first and len(batches(kimi)) == 1
    upstream.release(mark)
    kimi.wait(first.strip())
    client.age(25 * 3600)
    assert client("submit", path).stdout != first and len(batches(kimi)) == 2


# ---- what breaks ----


def test_the_answer_of_create_is_lost(client, kimi, given):
    proxy = CuttingProxy(kimi.server, lose=b"POST /v1/batches ")
    done = client.at(proxy.url)("submit", given)
    proxy.close()
    assert proxy.lost == 1 and proxy.requests("POST /v1/batches ") == 2
    assert one_batch(kimi)["id"] == done.stdout.strip()
    assert "trying again" not in done.stdout


def test_the_answer_of_the_upload_is_lost(client, kimi, given):
    proxy = CuttingProxy(kimi.server, lose=b"POST /v1/files ")
    client.at(proxy.url)("submit", given)
    proxy.close()
    assert proxy.lost == 1
    assert len(kimi.http.get("/files", params={"purpose": "batch"}).json()["data"]) == 1


def test_parts_that_are_there_are_not_sent_again(client, kimi, tmp_path):
    """Two connections break in the middle of parts; the bytes that go twice are those of two."""
    path = large(tmp_path / "in.jsonl", 70)
    proxy = CuttingProxy(kimi.server, cut_up=(20 * MB, 45 * MB))
    client.at(proxy.url)("submit", path)
    proxy.close()
    size = path.stat().st_size
    assert size + 2 * MB < proxy.total["up"] < size + 2 * PART + MB
    assert proxy.requests("POST /v1/uploads ") == 1
    assert kimi.content(one_batch(kimi)["input_file_id"]) == path.read_bytes()


def test_the_server_is_killed_in_the_middle_of_an_upload(serve, tmp_path):
    api = serve()
    path = large(tmp_path / "in.jsonl", 70)
    proxy = CuttingProxy(api.server, at_up=[(30 * MB, lambda: (api.server.kill(), api.server.start()))])
    client = Client(tmp_path / "home", proxy.url, api.key)
    client("submit", path)
    proxy.close()
    assert api.server.starts == 2
    assert proxy.total["up"] < path.stat().st_size + 2 * PART
    assert api.content(one_batch(api)["input_file_id"]) == path.read_bytes()


def test_the_client_is_killed_in_the_middle_of_an_upload(client, kimi, tmp_path):
    """The same call goes on with the part that was under way."""
    path = large(tmp_path / "in.jsonl", 70)
    calls = []
    proxy = CuttingProxy(kimi.server, at_up=[(40 * MB, lambda: calls[0].kill())])
    by_proxy = client.at(proxy.url)
    calls.append(by_proxy.start("submit", path))
    assert calls[0].wait(60) == -signal.SIGKILL
    assert batches(kimi) == [] and len(client.kept()) == 1
    before = proxy.total["up"]
    by_proxy("submit", path)
    proxy.close()
    assert proxy.total["up"] - before < path.stat().st_size - 40 * MB + 2 * PART
    assert proxy.requests("POST /v1/uploads ") == 1
    assert kimi.content(one_batch(kimi)["input_file_id"]) == path.read_bytes()
    assert client.kept() == []


def test_the_client_is_killed_before_it_knows_the_batch(client, kimi, given):
    proxy = CuttingProxy(kimi.server, hold=b"POST /v1/batches ")
    call = client.at(proxy.url).start("submit", given)
    assert proxy.held.wait(60)
    call.kill()
    assert call.wait(60) == -signal.SIGKILL and call.stdout.read() == ""
    proxy.hold = None
    done = client.at(proxy.url)("submit", given)
    proxy.close()
    assert one_batch(kimi)["id"] == done.stdout.strip()
    assert len(kimi.http.get("/files", params={"purpose": "batch"}).json()["data"]) == 1


def test_a_file_that_has_changed_since_is_another(client, kimi, given):
    proxy = CuttingProxy(kimi.server, hold=b"POST /v1/batches ")
    call = client.at(proxy.url).start("submit", given)
    assert proxy.held.wait(60)
    call.kill()
    call.wait(60)
    proxy.hold = None
    given.write_bytes(jsonl(numbered(fresh(), 3)))
    client.at(proxy.url)("submit", given)
    proxy.close()
    assert sorted(kimi.wait(one)["request_counts"]["total"] for one in batches(kimi)) == [3, 10]


def test_an_upload_that_was_deleted_meanwhile_goes_again(client, kimi, given):
    """The server would answer the same Idempotency-Key with the file that is gone."""
    client("submit", given, "--window", "1h", expect=2)
    (file,) = kimi.http.get("/files", params={"purpose": "batch"}).json()["data"]
    client("files", "delete", file["id"])
    client("submit", given, "--window", "1h", expect=2)
    client("submit", given)
    assert kimi.content(one_batch(kimi)["input_file_id"]) == given.read_bytes()


def test_results_do_not_go_into_the_input(client, kimi, given):
    before = given.read_bytes()
    said = sentence(client("submit", given, "--wait", "-o", given.parent / "." / given.name, expect=2))
    assert "cannot go into the input file" in said
    assert given.read_bytes() == before and batches(kimi) == []


def test_other_options_make_another_batch_of_the_same_upload(client, kimi, given):
    """What is refused after the upload costs no second upload."""
    done = client("submit", given, "--window", "1h", expect=2)
    assert "completion_window" in sentence(done) or "1h" in sentence(done)
    client("submit", given, "--window", "12h")
    assert one_batch(kimi)["completion_window"] == "12h"
    assert len(kimi.http.get("/files", params={"purpose": "batch"}).json()["data"]) == 1


# ---- mistakes ----


def test_what_cannot_be_a_batch_is_not_sent(client, kimi, tmp_path):
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "blank.jsonl").write_bytes(b"\n \n")
    (tmp_path / "binary.jsonl").write_bytes(b"\x7fELF\0\0\1\n\0")
    (tmp_path / "zip.jsonl").write_bytes(b"PK\x03\x04....")
    (tmp_path / "table.csv").write_bytes(b"id,text\n1,a\n")
    (tmp_path / "array.json").write_bytes(b'[{"custom_id": "a"}]')
    (tmp_path / "number.jsonl").write_bytes(b"7\n")
    (tmp_path / "cut.jsonl").write_bytes(b'{"custom_id": "a", \n')
    said = {
        name: sentence(client("submit", tmp_path / name, expect=2))
        for name in ("none.jsonl", ".", "empty.jsonl", "blank.jsonl", "binary.jsonl", "zip.jsonl",
                     "table.csv", "array.json", "number.jsonl", "cut.jsonl", "/dev/null")
    }  # fmt: skip
    assert "there is no file" in said["none.jsonl"]
    assert "is a directory" in said["."] and "lowtide prepare" in said["."]
    assert "is empty" in said["empty.jsonl"] and "is empty" in said["blank.jsonl"]
    assert "is no text" in said["binary.jsonl"]
    assert "ZIP" in said["zip.jsonl"]
    assert "CSV" in said["table.csv"]
    assert "JSON array" in said["array.json"]
    assert "no object" in said["number.jsonl"]
    assert "line 1 is no JSON" in said["cut.jsonl"]
    assert "is no file" in said["/dev/null"]
    assert kimi.http.get("/files").json()["data"] == []


def test_words_that_make_no_sense(client, given):
    for args in (
        ["submit"], ["submit", given, given], ["submit", given, "--canary", "0"],
        ["submit", given, "-o", "x"], ["submit", given, "--wait", "--timeout", "soon"],
        ["submit", given, "--metadata", "nothing"], ["submit", given, "--nonsense"],
    ):  # fmt: skip
        done = client(*args, expect=2)
        assert done.stdout == "" and done.stderr.startswith("lowtide"), args


def test_nothing_listens(client, given):
    start = time.monotonic()
    done = client.at("http://127.0.0.1:9/v1")("submit", given, expect=1)
    assert "nothing listens at http://127.0.0.1:9/v1: is `lowtide serve` running?" in sentence(done)
    assert time.monotonic() - start < 20


def test_a_wrong_key(client, given):
    said = sentence(client("submit", given, expect=1, env={"LOWTIDE_API_KEY": "sk-wrong"}))
    assert "does not take this API key" in said and "lowtide login" in said and "sk-wrong" not in said
    said = sentence(client("submit", given, expect=1, env={"LOWTIDE_API_KEY": ""}))
    assert "wants an API key" in said


def test_a_place_that_cannot_be_written(client, kimi, given, tmp_path):
    for place in (tmp_path / "none" / "out.jsonl", tmp_path):
        done = client("submit", given, "--wait", "-o", place, expect=None)
        assert done.returncode in (1, 2)
        assert str(place) in sentence(done)
    assert batches(kimi) == []
