"""Requests that two readers could take for different ones: one 400 in the API's shape and a closed
connection, before anything of it is used or forwarded (faults-seen W1 to W4, W9, W10, E11)."""

import contextlib
import json
import resource
import time

import httpx
import pytest
from support.api import REQUEST_ID, check_error
from support.jsonl import CHAT, fresh, line
from support.upstream import Answer
from support.wire import Raw, request

from test_online import chat

EVIL = "GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

# What stands among the headers of a good request.
HEADERS = {
    "W1 control character": "X-A: a\x01b",
    "W1 escape": "X-A: \x1b[31m",
    "W1 DEL": "X-A: a\x7f",
    "W1 NUL in a value": "X-A: a\0b",
    "W1 bare CR": "X-A: a\rX-B: b",
    "W1 space in a name": "X A: b",
    "W1 space before the colon": "X-A : b",
    "W1 parenthesis in a name": "X(A): b",
    "W1 control character in a name": "X\x01A: b",
    "W1 NUL in a name": "X\0A: b",
    "W1 letter outside ASCII in a name": "X-\xc4: b",
    "W2 folded": "X-A: a\r\n b",
    "W2 folded with a tab": "X-A: a\r\n\tb",
    "W2 folded and empty": "X-A: a\r\n ",
    "W2 folded length": "X-A: a\r\n Content-Length: 0",
    "W2 folded coding": "X-A: a\r\n Transfer-Encoding: chunked",
    "W3 negative length": "Content-Length: -1",
    "W3 sign": "Content-Length: +5",
    "W3 hexadecimal": "Content-Length: 0x10",
    "W3 exponent": "Content-Length: 1e3",
    "W3 list": "Content-Length: 5, 5",
    "W3 two words": "Content-Length: 5 5",
    "W3 empty length": "Content-Length:",
    "W3 letter": "Content-Length: a",
    "W3 beyond 64 bits": "Content-Length: 99999999999999999999",
    "W3 beyond 63 bits": "Content-Length: 9223372036854775808",
    "W3 once more": "Content-Length: 3",
    "W3 beside chunked": "Transfer-Encoding: chunked",
    "W3 another coding": "Transfer-Encoding: gzip",
    "W4 empty name": ": b",
    "W9 folded Idempotency-Key": "Idempotency-Key:\r\n folded",
    "W10 no colon": "X-A b",
    "two hosts": "Host: y",
}
TARGETS = {
    "W4 NUL": "\0",
    "W4 NUL in the query": "?a=\0b",
    "control character": "\x01",
    "tab": "\t",
    "DEL": "\x7f",
    "space": " x",
}
CHUNKS = {
    "W10 overflow": b"ffffffffffffffffff\r\nabc",
    "W10 size is no number": b"zz\r\nabc\r\n0\r\n\r\n",
    "W10 negative": b"-5\r\nabcde\r\n0\r\n\r\n",
    "W10 longer than its size": b"3\r\nabcde\r\n0\r\n\r\n",
    "W10 bare LF": b"3\nabc\n0\n\n",
    "W10 no size": b"\r\n\r\n",
    "W10 endless extension": b"3;" + b"x" * 100_000 + b"\r\nabc\r\n0\r\n\r\n",
    "W1 trailer": b"3\r\nabc\r\n0\r\nX A: b\r\n\r\n",
    "W2 folded trailer": b"3\r\nabc\r\n0\r\nX-A: b\r\n c\r\n\r\n",
}


def refusal(text, profile, status=400):
    """`text` is one answer, whole, with the API's error."""
    head, _, body = text.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = httpx.Headers([tuple(one.split(": ", 1)) for one in lines[1:]])
    assert int(lines[0].split()[1]) == status, text
    assert headers["connection"] == "close" and "date" in headers
    assert headers["content-type"] == "application/json"
    assert REQUEST_ID.fullmatch(headers["x-request-id"]), headers
    assert int(headers["content-length"]) == len(body), text  # and nothing behind it
    response = httpx.Response(status, headers=headers, content=body)
    return check_error(response, profile, status, error_type="invalid_request_error")["message"]


def say(api, *pieces):
    """Everything that is answered until the connection is closed: by the server, this side stays."""
    with Raw(api.server, timeout=20) as raw:
        for n, piece in enumerate(pieces):
            if n > 0:
                time.sleep(0.05)
            with contextlib.suppress(ConnectionError):
                raw.send(piece)
        return raw.rest()


def pieces_of(data):
    """Whole, and cut in the middle of its head."""
    return [(data,), (data[:60], data[60:])]


def online(api, mark, header, target=CHAT, chunked=None):
    body = json.dumps(chat(mark)).encode()
    lines = [f"POST {target} HTTP/1.1", "Host: x", f"Authorization: Bearer {api.key}"]
    lines += [header] if header else []
    lines += [f"Content-Length: {len(body)}"] if chunked is None else ["Transfer-Encoding: chunked"]
    head = ("\r\n".join([*lines, "X-Last: z"]) + "\r\n\r\n").encode("latin-1")
    return head + (body if chunked is None else b"%x\r\n%s\r\n" % (len(body), body) + chunked)


def untouched(api, upstream, mark):
    """Nothing of it was used: the next one on a new connection is answered, and alone reaches the
    upstream."""
    assert upstream.having(mark.encode()) == []
    assert api.http.post("chat/completions", json=chat(mark)).status_code == 200
    assert len(upstream.having(mark.encode())) == 1


@pytest.mark.parametrize("name", HEADERS)
def test_header(api, upstream, name):
    mark = fresh()
    for pieces in pieces_of(online(api, mark, HEADERS[name]) + EVIL.encode()):
        message = refusal(say(api, *pieces), api.profile)
        assert message.startswith("Malformed request: "), message
    untouched(api, upstream, mark)


@pytest.mark.parametrize("name", TARGETS)
def test_target(api, upstream, name):
    mark = fresh()
    for pieces in pieces_of(online(api, mark, None, target=CHAT + TARGETS[name])):
        refusal(say(api, *pieces), api.profile)
    untouched(api, upstream, mark)


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks(api, upstream, name):
    mark = fresh()
    data = online(api, mark, None, chunked=CHUNKS[name])
    at = data.index(b"\r\n\r\n") + 10
    for pieces in [(data,), (data[:at], data[at:])]:
        refusal(say(api, *pieces), api.profile)
    untouched(api, upstream, mark)


def test_what_came_before_is_answered_first(kimi, upstream):
    mark, other = fresh(), fresh()
    with Raw(kimi.server) as raw:
        good = online(kimi, mark, "X-Good: \tquite\tso ")
        raw.send(good + online(kimi, other, "X-A: a\r\n b") + EVIL.encode())
        assert raw.answer()[0] == 200
        refusal(raw.rest(), kimi.profile)
    (seen,) = upstream.having(mark.encode())
    assert seen.header("x-good") == "quite\tso"
    assert upstream.having(other.encode()) == []


def test_w9_no_batch_from_a_folded_key(kimi):
    uploaded = kimi.upload([line("a", fresh())])
    body = json.dumps(
        {"input_file_id": uploaded, "endpoint": CHAT, "completion_window": "24h"}
    ).encode()
    data = request("POST", "/v1/batches", kimi.key, ["Idempotency-Key: a\r\n b"], body)
    for _ in range(2):
        refusal(say(kimi, data), kimi.profile)
    assert kimi.http.get("batches").json()["data"] == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", 431),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        (b"GET /\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x01" * 500, 400),
    ],
    ids=["target", "header", "headers", "version", "no version", "tls"],
)
def test_none_is_the_library_s_own(kimi, data, status):
    refusal(say(kimi, data), kimi.profile, status)


def test_long_heads_are_taken(kimi):
    """As long as it may be: 300 headers, and one of 30,000 bytes."""
    for more in (["X: y"] * 300, ["X: " + "a" * 30_000], ["Cookie: " + "a=b;" * 7000]):
        with Raw(kimi.server) as raw:
            assert raw.send(request("GET", "/v1/files", kimi.key, more)).answer()[0] == 200


# ---- the other direction ----


@pytest.mark.both_clients
@pytest.mark.parametrize(
    ("headers", "logged"),
    [
        ({"X-A": "secret\x01"}, 1),
        ({"X A": "secret"}, 1),
        ({"X-A": "secret\r\n folded"}, 1),
        ({"": "secret"}, 1),
        ({"X-A": "secret\r\nno colon"}, 0),  # how often libcurl leaves it to us
        ({"X-A": "secret\0"}, 0),
    ],
    ids=["control", "name", "folded", "empty", "colon", "NUL"],
)
def test_answers_of_upstreams_are_checked_alike(kimi, upstream, headers, logged, http_client):
    """502, once in the log, without the value."""
    mark = fresh()
    upstream.on(mark, Answer(headers=headers))
    before = kimi.server.log().count("online.malformed_answer")
    check_error(
        kimi.http.post("chat/completions", json=chat(mark)), kimi.profile, 502, "upstream_error"
    )
    log = kimi.server.log()
    expected = 1 if http_client == "auto" else logged
    assert log.count("online.malformed_answer") == before + expected
    assert "secret" not in log


# ---- W7 ----


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "gzip, br"])
def test_w7_coded_bodies_are_named(api, coding):
    for path, kind in (("files", "multipart/form-data; boundary=x"), ("batches", "application/json")):
        response = api.http.post(
            path, content=b"\x1f\x8b\x08", headers={"Content-Encoding": coding, "Content-Type": kind}
        )
        error = check_error(response, api.profile, 415, "unsupported_media_type")
        assert f"'{coding}'" in error["message"], error
        assert response.headers["accept-encoding"] == "identity"


def test_w7_identity_is_no_coding(api):
    response = api.http.post("batches", content=b"{}", headers={"Content-Encoding": "identity"})
    assert response.status_code == 400
    headers = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
    assert api.http.post("batches", content=b"{}", headers=headers).status_code == 415


def test_w7_what_is_passed_on_may_be_coded(kimi, upstream):
    mark = fresh()
    body = json.dumps(chat(mark)).encode()
    response = kimi.http.post("chat/completions", content=body, headers={"Content-Encoding": "x"})
    assert response.status_code == 200
    assert upstream.having(mark.encode())[0].header("content-encoding") == "x"


# ---- E11 ----


def test_e11_slow_heads_are_cut_and_cost_nobody(serve):
    """2,000 connections that send a byte a second."""
    api = serve(settings={"limits.head_timeout": "2s"})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(2000, hard - 500) if hard != resource.RLIM_INFINITY else 2000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 500), hard))
    head = b"GET /v1/files HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 60
    try:
        with contextlib.ExitStack() as stack:
            raws = [stack.enter_context(Raw(api.server, timeout=20)) for _ in range(count)]
            began = time.monotonic()
            for n in range(3):
                for raw in raws:
                    with contextlib.suppress(ConnectionError):
                        raw.send(head[n : n + 1])
                asked = time.monotonic()
                assert api.http.get("files").status_code == 200
                assert time.monotonic() - asked < 2
                time.sleep(max(0, began + n + 1 - time.monotonic()))
            for raw in raws:
                message = refusal(raw.rest(), api.profile, 408)
                assert "slowly" in message
            assert time.monotonic() - began < 15
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "http.slow_client_cut" in api.server.log()
