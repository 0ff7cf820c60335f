"""Answers of upstreams as RFC 9112 allows them, and as it does not, in whatever pieces they come: for
lines and online requests alike (contract 8.2, 13)."""

import contextlib
import json

import httpx
import pytest
from support.jsonl import fresh, line
from support.raw_upstream import RawUpstream

BOTH_CLIENTS = True

BODY = b'{"id":"x","object":"chat.completion","choices":[{"index":0}]}'
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def chunks(*sizes, extension=b"", trailers=b"", body=BODY):
    text, at = b"", 0
    for size in (*sizes, len(body)):
        piece = body[at : at + size]
        text += b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) if piece else b""
        at += size
    return text + b"0%s\r\n%s\r\n" % (extension, trailers)


GOOD = {
    "length": (OK + LENGTH + b"\r\n" + BODY, False),
    "LF alone": (b"HTTP/1.1 200 OK\n" + LENGTH[:-2] + b"\n\n" + BODY, False),
    "chunked": (OK + CHUNKED + b"\r\n" + chunks(1, 2, 30), False),
    "chunks, extensions, trailers": (
        OK + CHUNKED + b"\r\n" + chunks(7, extension=b';a="b;c"', trailers=b"X-Sum: 1\r\nY:\r\n"),
        False,
    ),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        + OK + LENGTH + b"\r\n" + BODY,
        False,
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, True),
    "HTTP/1.0 with a length": (b"HTTP/1.0 200 OK\r\n" + LENGTH + b"\r\n" + BODY, True),
    "until the end": (OK + b"Connection: close\r\n\r\n" + BODY, True),
    "both lengths": (OK + b"Content-Length: 9\r\n" + CHUNKED + b"\r\n" + chunks(9), False),
    "the same length twice": (OK + LENGTH + LENGTH + b"\r\n" + BODY, False),
}  # fmt: skip

BAD = {
    "cut in the head": (OK + b"Content-Le", True),
    "cut in the body": (OK + LENGTH + b"\r\n" + BODY[:-1], True),
    "cut in the chunks": (OK + CHUNKED + b"\r\n" + chunks()[:-2], True),
    "no size": (OK + CHUNKED + b"\r\nx\r\n", False),
    "a size without end": (OK + CHUNKED + b"\r\n" + b"f" * 17 + b"\r\n", False),
    "a longer chunk": (OK + CHUNKED + b"\r\n2\r\n{}}\r\n0\r\n\r\n", False),
    "no number": (OK + b"Content-Length: x\r\n\r\n", False),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", True),
}


@pytest.fixture
def raw_upstream():
    made = RawUpstream()
    yield made
    made.close()


@pytest.fixture
def raw(serve, raw_upstream):
    """An Api whose upstream is that one."""
    return serve(
        settings={"execution.max_attempts": 1, "execution.concurrency": 16}, upstream=raw_upstream
    )


@pytest.mark.parametrize("name", GOOD)
def test_8_2_cut_at_each_byte(raw, raw_upstream, name):
    """A line for each place where an answer can be cut, and one whose bytes come one by one."""
    text, close = GOOD[name]
    mark = fresh()
    for at in range(len(text)):
        raw_upstream.on(f"{mark}-{at}", [text[:at], text[at:]] if at > 0 else [text], close)
    raw_upstream.on(f"{mark}-slow", [bytes([b]) for b in text], close)
    marks = [f"{mark}-{at}" for at in (*range(len(text)), "slow")]
    batch = raw.run([line(one, one) for one in marks])
    assert batch["request_counts"] == {"total": len(marks), "completed": len(marks), "failed": 0}
    output, _ = raw.results(batch)
    assert all(output[one]["response"]["body"] == json.loads(BODY) for one in marks)
    if not close and name != "both lengths":
        assert raw_upstream.connections < 40, "connections are used again"


@pytest.mark.parametrize("name", GOOD)
def test_13_passed_on(raw, raw_upstream, name):
    text, close = GOOD[name]
    for at in (0, 1, len(text) // 2, len(text) - 1):
        mark = fresh()
        raw_upstream.on(mark, [text[:at], text[at:]] if at > 0 else [text], close)
        body = {"model": "m-1", "messages": [{"role": "user", "content": mark}]}
        answer = raw.http.post("chat/completions", json=body)
        assert answer.status_code == 200 and answer.content == BODY


@pytest.mark.parametrize("name", BAD)
def test_8_2_what_is_no_answer(raw, raw_upstream, name, http_client):
    """The line fails, with what was wrong, and costs no other."""
    if http_client == "libcurl" and name == "cut in the head":
        pytest.skip("libcurl takes it for a 200 without a body")
    text, close = BAD[name]
    mark = fresh()
    raw_upstream.on(mark, [text], close)
    good = [f"{mark}-{n}" for n in range(20)]
    for one in ("well", *good):
        raw_upstream.on(one, [GOOD["length"][0]])
    with raw.well():
        batch = raw.run([line(one, one) for one in (*good[:10], mark, *good[10:])])
    output, error = raw.results(batch)
    assert sorted(output) == sorted(good) and list(error) == [mark]
    assert error[mark]["error"]["code"] == "upstream_error"
    body = {"model": "m-1", "messages": [{"role": "user", "content": mark}]}
    with contextlib.suppress(httpx.RemoteProtocolError):  # its head may have been passed on
        assert raw.http.post("chat/completions", json=body).status_code == 502
