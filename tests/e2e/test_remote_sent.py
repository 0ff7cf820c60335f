"""What a command sends goes from the server again where nobody can go on with it."""

import re
import signal

import pytest
from support.client import Client, sentence
from support.cutting import CuttingProxy
from support.jsonl import fresh, jsonl, line, numbered

MB = 1 << 20


@pytest.fixture
def client(kimi, tmp_path):
    return Client(tmp_path, kimi.server.base_url, kimi.key)


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(numbered(fresh(), 3)))
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """One that goes in parts."""
    path, filler = tmp_path_factory.mktemp("large") / "in.jsonl", "x" * 65200
    path.write_bytes(jsonl([line(f"{n}", f"{n} {filler}") for n in range(70 * 16)]))
    return path


def files(api):
    return api.http.get("files", params={"purpose": "batch"}).json()["data"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("more", [[], ["--keep"]])
def test_an_estimate_that_is_interrupted(client, kimi, given, number, more):
    proxy = CuttingProxy(kimi.server, hold=b"POST /v1/batches/estimate ")
    call = client.at(proxy.url).start("estimate", given, *more)
    assert proxy.held.wait(60)
    assert len(files(kimi)) == 1
    call.send_signal(number)
    out, err = call.communicate(timeout=60)
    proxy.close()
    assert call.returncode == 128 + number and out == ""
    assert "deleted" in err and err.count("\n") == 1
    assert files(kimi) == []


@pytest.mark.parametrize("command", [["estimate", "-"], ["files", "upload", "-"], ["submit", "-"]])
def test_parts_that_are_there(client, kimi, large, command):
    calls = []
    proxy = CuttingProxy(kimi.server, at_up=[(30 * MB, lambda: calls[0].send_signal(signal.SIGINT))])
    with open(large, "rb") as text:
        calls.append(client.at(proxy.url).start(*command, stdin=text))
        assert calls[0].wait(60) == 130
    heads, again = proxy.heads, proxy.total["up"]
    proxy.close()
    assert again < 60 * MB, "it went on sending"
    (upload,) = set(re.findall(rb"POST /v1/uploads/(upload_\w+)/parts", heads))
    assert kimi.http.post(f"uploads/{upload.decode()}/complete", json={"part_ids": []}).status_code == 400
    assert f"POST /v1/uploads/{upload.decode()}/cancel".encode() in heads
    assert files(kimi) == []


def test_a_second_signal_ends_at_once(client, kimi, given):
    proxy = CuttingProxy(kimi.server, hold=b" /v1/")  # nothing is answered
    call = client.at(proxy.url).start("files", "upload", given)
    assert proxy.held.wait(60)
    call.send_signal(signal.SIGINT)
    assert "again to stop at once" in call.stderr.readline()
    call.send_signal(signal.SIGINT)
    assert call.wait(30) == 130
    proxy.close()


def test_standard_input_that_is_refused(client, kimi, given):
    """Its file is of no use to anybody; that of a file is, to the same call with other options."""
    text = given.read_text()
    assert "1h" in sentence(client("submit", "-", "--window", "1h", stdin=text, expect=2))
    assert files(kimi) == []
    client("submit", given, "--window", "1h", expect=2)
    assert len(files(kimi)) == 1
    client("submit", given)
    assert len(files(kimi)) == 1
